-- Layout r4-core/1, schema SHA-256 f3351dc4b7e65dc1b99fb0a73ea9511e89f5979b28d7de515379a93bd16dda65.

-- The Parquet that fhirkiln published. It wants one part to be there, at least.
-- The partitions kiln_source, kiln_feed and kiln_run are columns too, and text.
CREATE OR REPLACE VIEW "Patient" AS
SELECT * FROM read_parquet('s3://lake/claims/r4-core-1/Patient/*/*/*/*.parquet',
  hive_partitioning = true, hive_types_autocast = false);

-- NDJSON, under the same names and types: FROM "Patient_ndjson"('file.ndjson').
-- What fhirkiln adds is left out, since JSON has none of it: columns that begin with __,
-- and the structs {type, value, json} of choices of any type. So extensions, contained
-- resources and unknown members are not to be seen here. Numbers go through a DOUBLE. A value
-- that does not fit its column ends the query, and so does a line of more than 16 MiB.
CREATE OR REPLACE MACRO "Patient_ndjson"(file) AS TABLE
SELECT * FROM read_json(file, format = 'newline_delimited', columns = {
  'resourceType': 'VARCHAR',
  'id': 'VARCHAR',
  'meta': 'STRUCT("versionId" VARCHAR, "lastUpdated" VARCHAR, "source" VARCHAR, "profile" VARCHAR[], "security" STRUCT("system" VARCHAR, "version" VARCHAR, "code" VARCHAR, "display" VARCHAR, "userSelected" BOOLEAN)[], "tag" STRUCT("system" VARCHAR, "version" VARCHAR, "code" VARCHAR, "display" VARCHAR, "userSelected" BOOLEAN)[])',
  'implicitRules': 'VARCHAR',
  'language': 'VARCHAR',
  'text': 'STRUCT("status" VARCHAR, "div" VARCHAR)',
  'identifier': 'STRUCT("use" VARCHAR, "type" STRUCT("coding" STRUCT("system" VARCHAR, "version" VARCHAR, "code" VARCHAR, "display" VARCHAR, "userSelected" BOOLEAN)[], "text" VARCHAR), "system" VARCHAR, "value" VARCHAR, "period" STRUCT("start" VARCHAR, "end" VARCHAR), "assigner" STRUCT("reference" VARCHAR, "display" VARCHAR))[]',
  'active': 'BOOLEAN',
  'name': 'STRUCT("use" VARCHAR, "text" VARCHAR, "family" VARCHAR, "given" VARCHAR[], "prefix" VARCHAR[], "suffix" VARCHAR[], "period" STRUCT("start" VARCHAR, "end" VARCHAR))[]',
  'telecom': 'STRUCT("system" VARCHAR, "value" VARCHAR, "use" VARCHAR, "rank" INTEGER, "period" STRUCT("start" VARCHAR, "end" VARCHAR))[]',
  'gender': 'VARCHAR',
  'birthDate': 'VARCHAR',
  'deceasedBoolean': 'BOOLEAN',
  'deceasedDateTime': 'VARCHAR',
  'address': 'STRUCT("use" VARCHAR, "type" VARCHAR, "text" VARCHAR, "line" VARCHAR[], "city" VARCHAR, "district" VARCHAR, "state" VARCHAR, "postalCode" VARCHAR, "country" VARCHAR, "period" STRUCT("start" VARCHAR, "end" VARCHAR))[]',
  'maritalStatus': 'STRUCT("coding" STRUCT("system" VARCHAR, "version" VARCHAR, "code" VARCHAR, "display" VARCHAR, "userSelected" BOOLEAN)[], "text" VARCHAR)',
  'multipleBirthBoolean': 'BOOLEAN',
  'multipleBirthInteger': 'INTEGER',
  'photo': 'STRUCT("contentType" VARCHAR, "language" VARCHAR, "data" VARCHAR, "url" VARCHAR, "size" INTEGER, "hash" VARCHAR, "title" VARCHAR, "creation" VARCHAR)[]',
  'contact': 'STRUCT("relationship" STRUCT("coding" STRUCT("system" VARCHAR, "version" VARCHAR, "code" VARCHAR, "display" VARCHAR, "userSelected" BOOLEAN)[], "text" VARCHAR)[], "name" STRUCT("use" VARCHAR, "text" VARCHAR, "family" VARCHAR, "given" VARCHAR[], "prefix" VARCHAR[], "suffix" VARCHAR[], "period" STRUCT("start" VARCHAR, "end" VARCHAR)), "telecom" STRUCT("system" VARCHAR, "value" VARCHAR, "use" VARCHAR, "rank" INTEGER, "period" STRUCT("start" VARCHAR, "end" VARCHAR))[], "address" STRUCT("use" VARCHAR, "type" VARCHAR, "text" VARCHAR, "line" VARCHAR[], "city" VARCHAR, "district" VARCHAR, "state" VARCHAR, "postalCode" VARCHAR, "country" VARCHAR, "period" STRUCT("start" VARCHAR, "end" VARCHAR)), "gender" VARCHAR, "organization" STRUCT("reference" VARCHAR, "type" VARCHAR, "identifier" STRUCT("system" VARCHAR, "value" VARCHAR), "display" VARCHAR), "period" STRUCT("start" VARCHAR, "end" VARCHAR))[]',
  'communication': 'STRUCT("language" STRUCT("coding" STRUCT("system" VARCHAR, "version" VARCHAR, "code" VARCHAR, "display" VARCHAR, "userSelected" BOOLEAN)[], "text" VARCHAR), "preferred" BOOLEAN)[]',
  'generalPractitioner': 'STRUCT("reference" VARCHAR, "type" VARCHAR, "identifier" STRUCT("system" VARCHAR, "value" VARCHAR), "display" VARCHAR)[]',
  'managingOrganization': 'STRUCT("reference" VARCHAR, "type" VARCHAR, "identifier" STRUCT("system" VARCHAR, "value" VARCHAR), "display" VARCHAR)',
  'link': 'STRUCT("other" STRUCT("reference" VARCHAR, "type" VARCHAR, "identifier" STRUCT("system" VARCHAR, "value" VARCHAR), "display" VARCHAR), "type" VARCHAR)[]'
});

-- Layout r4-core/1, schema SHA-256 f3351dc4b7e65dc1b99fb0a73ea9511e89f5979b28d7de515379a93bd16dda65.
-- Times before 1900, as old birth dates have them, end a query of Spark before 4.0 unless
-- it is told that they are not in the Julian calendar: for this table by its option
-- datetimeRebaseMode, without a table by spark.sql.parquet.datetimeRebaseModeInRead=CORRECTED.
-- No column is a DATE or an INT96. Times are shown in spark.sql.session.timeZone.
-- Outside of EMR, S3 is s3a://.
CREATE TABLE `Patient` (
  `resourceType` STRING,
  `id` STRING,
  `meta` STRUCT<`versionId`: STRING, `lastUpdated`: STRING, `__lastUpdated_start`: TIMESTAMP, `source`: STRING, `profile`: ARRAY<STRING>, `security`: ARRAY<STRUCT<`system`: STRING, `version`: STRING, `code`: STRING, `display`: STRING, `userSelected`: BOOLEAN>>, `tag`: ARRAY<STRUCT<`system`: STRING, `version`: STRING, `code`: STRING, `display`: STRING, `userSelected`: BOOLEAN>>>,
  `implicitRules` STRING,
  `language` STRING,
  `text` STRUCT<`status`: STRING, `div`: STRING>,
  `identifier` ARRAY<STRUCT<`use`: STRING, `type`: STRUCT<`coding`: ARRAY<STRUCT<`system`: STRING, `version`: STRING, `code`: STRING, `display`: STRING, `userSelected`: BOOLEAN>>, `text`: STRING>, `system`: STRING, `value`: STRING, `period`: STRUCT<`start`: STRING, `__start_start`: TIMESTAMP, `end`: STRING, `__end_start`: TIMESTAMP>, `assigner`: STRUCT<`reference`: STRING, `display`: STRING>>>,
  `active` BOOLEAN,
  `name` ARRAY<STRUCT<`use`: STRING, `text`: STRING, `family`: STRING, `given`: ARRAY<STRING>, `prefix`: ARRAY<STRING>, `suffix`: ARRAY<STRING>, `period`: STRUCT<`start`: STRING, `__start_start`: TIMESTAMP, `end`: STRING, `__end_start`: TIMESTAMP>>>,
  `telecom` ARRAY<STRUCT<`system`: STRING, `value`: STRING, `use`: STRING, `rank`: INT, `period`: STRUCT<`start`: STRING, `__start_start`: TIMESTAMP, `end`: STRING, `__end_start`: TIMESTAMP>>>,
  `gender` STRING,
  `birthDate` STRING,
  `__birthDate_start` TIMESTAMP,
  `deceasedBoolean` BOOLEAN,
  `deceasedDateTime` STRING,
  `__deceasedDateTime_start` TIMESTAMP,
  `address` ARRAY<STRUCT<`use`: STRING, `type`: STRING, `text`: STRING, `line`: ARRAY<STRING>, `city`: STRING, `district`: STRING, `state`: STRING, `postalCode`: STRING, `country`: STRING, `period`: STRUCT<`start`: STRING, `__start_start`: TIMESTAMP, `end`: STRING, `__end_start`: TIMESTAMP>>>,
  `maritalStatus` STRUCT<`coding`: ARRAY<STRUCT<`system`: STRING, `version`: STRING, `code`: STRING, `display`: STRING, `userSelected`: BOOLEAN>>, `text`: STRING>,
  `multipleBirthBoolean` BOOLEAN,
  `multipleBirthInteger` INT,
  `photo` ARRAY<STRUCT<`contentType`: STRING, `language`: STRING, `data`: STRING, `url`: STRING, `size`: INT, `hash`: STRING, `title`: STRING, `creation`: STRING, `__creation_start`: TIMESTAMP>>,
  `contact` ARRAY<STRUCT<`relationship`: ARRAY<STRUCT<`coding`: ARRAY<STRUCT<`system`: STRING, `version`: STRING, `code`: STRING, `display`: STRING, `userSelected`: BOOLEAN>>, `text`: STRING>>, `name`: STRUCT<`use`: STRING, `text`: STRING, `family`: STRING, `given`: ARRAY<STRING>, `prefix`: ARRAY<STRING>, `suffix`: ARRAY<STRING>, `period`: STRUCT<`start`: STRING, `__start_start`: TIMESTAMP, `end`: STRING, `__end_start`: TIMESTAMP>>, `telecom`: ARRAY<STRUCT<`system`: STRING, `value`: STRING, `use`: STRING, `rank`: INT, `period`: STRUCT<`start`: STRING, `__start_start`: TIMESTAMP, `end`: STRING, `__end_start`: TIMESTAMP>>>, `address`: STRUCT<`use`: STRING, `type`: STRING, `text`: STRING, `line`: ARRAY<STRING>, `city`: STRING, `district`: STRING, `state`: STRING, `postalCode`: STRING, `country`: STRING, `period`: STRUCT<`start`: STRING, `__start_start`: TIMESTAMP, `end`: STRING, `__end_start`: TIMESTAMP>>, `gender`: STRING, `organization`: STRUCT<`reference`: STRING, `type`: STRING, `identifier`: STRUCT<`system`: STRING, `value`: STRING>, `display`: STRING>, `period`: STRUCT<`start`: STRING, `__start_start`: TIMESTAMP, `end`: STRING, `__end_start`: TIMESTAMP>>>,
  `communication` ARRAY<STRUCT<`language`: STRUCT<`coding`: ARRAY<STRUCT<`system`: STRING, `version`: STRING, `code`: STRING, `display`: STRING, `userSelected`: BOOLEAN>>, `text`: STRING>, `preferred`: BOOLEAN>>,
  `generalPractitioner` ARRAY<STRUCT<`reference`: STRING, `type`: STRING, `identifier`: STRUCT<`system`: STRING, `value`: STRING>, `display`: STRING>>,
  `managingOrganization` STRUCT<`reference`: STRING, `type`: STRING, `identifier`: STRUCT<`system`: STRING, `value`: STRING>, `display`: STRING>,
  `link` ARRAY<STRUCT<`other`: STRUCT<`reference`: STRING, `type`: STRING, `identifier`: STRUCT<`system`: STRING, `value`: STRING>, `display`: STRING>, `type`: STRING>>,
  `__extension` ARRAY<STRUCT<`path`: STRING, `modifier`: BOOLEAN, `parent`: INT, `url`: STRING, `urls`: ARRAY<STRING>, `type`: STRING, `value`: STRING, `system`: STRING, `display`: STRING, `json`: STRING>>,
  `__contained` ARRAY<STRUCT<`resourceType`: STRING, `id`: STRING, `json`: STRING>>,
  `__residual` STRING,
  `__origin` STRUCT<`source`: STRING, `feed`: STRING, `run`: STRING, `file`: STRING, `line`: BIGINT, `transactionTime`: STRING>,
  `kiln_source` STRING,
  `kiln_feed` STRING,
  `kiln_run` STRING
)
USING parquet
OPTIONS ('datetimeRebaseMode' = 'CORRECTED')
PARTITIONED BY (`kiln_source`, `kiln_feed`, `kiln_run`)
LOCATION 's3://lake/claims/r4-core-1/Patient';

-- Once now, and after every run that published: it finds the new partitions.
MSCK REPAIR TABLE `Patient`;

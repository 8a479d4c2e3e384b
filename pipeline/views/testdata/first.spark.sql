-- Views of what fhirkiln published, for Spark SQL from version 3.5.
--
--   `Patient`, ...            every live version of every resource
--   `current_Patient`, ...    the newest version of each resource, unless it was deleted since
--   kiln_tombstones           what servers said was deleted
--   kiln_runs, kiln_parts     the live runs, and their files
--
-- The views are temporary: run this script in each session. The session sees the runs as they were
-- then, until it runs the script again, whatever is published in the meantime. Print the script again
-- for a new resource type, and after a change of id_space. At least one run must have been published.
--
-- Outside EMR and Databricks, S3 is s3a://, and the credentials are Hadoop's: fs.s3a.*.

-- Before 4.0, Spark fails on times before 1900 unless it is told that they are not in the Julian calendar.
SET spark.sql.parquet.datetimeRebaseModeInRead=CORRECTED;

CREATE OR REPLACE TEMPORARY VIEW kiln_feeds (
  version BIGINT, feed STRING, source STRING,
  runs ARRAY<STRUCT<run: STRING, kind: STRING, status: STRING, published: STRING, transaction_time: STRING,
    resources: BIGINT, parts: BIGINT, bytes: BIGINT, replaces: ARRAY<STRING>>>
) USING json OPTIONS (path 's3://lake/claims/_fhirkiln/feeds/*.json', multiLine 'true', mode 'FAILFAST');

CREATE OR REPLACE TEMPORARY VIEW kiln_runs AS
SELECT source AS kiln_source, feed AS kiln_feed, r.run AS kiln_run, r.kind, r.status,
  CASE WHEN r.published RLIKE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$' THEN try_to_timestamp(r.published) END AS published,
  r.transaction_time, r.resources, r.parts, r.bytes, r.replaces
FROM (
  SELECT source, feed, CASE version WHEN 1 THEN runs
    ELSE raise_error('a feed is kept by another version of fhirkiln: print the views with that one') END AS runs
  FROM kiln_feeds
) LATERAL VIEW explode(runs) x AS r;

-- The session sees the runs of this moment. Files are listed later, when all these runs are complete.
CACHE TABLE kiln_runs;

-- There were no tombstones when this was printed. Spark cannot read a folder that does not exist, but it
-- can read two folders if one of them exists.
CREATE OR REPLACE TEMPORARY VIEW kiln_rows_deleted (
  resourceType STRING, id STRING,
  `__origin` STRUCT<source: STRING, feed: STRING, run: STRING, file: STRING, line: BIGINT, transactionTime: STRING>,
  kiln_source STRING, kiln_feed STRING, kiln_run STRING
) USING parquet OPTIONS (path 's3://lake/claims/r4-core-1/{deleted,Patient}', basePath 's3://lake/claims/r4-core-1');

CREATE OR REPLACE TEMPORARY VIEW kiln_tombstones AS
SELECT resourceType, id, __origin, kiln_source, d.kiln_feed, d.kiln_run, kiln_source AS kiln_id_space
FROM (SELECT * FROM kiln_rows_deleted WHERE input_file_name() LIKE '%/r4-core-1/deleted/%') d
LEFT SEMI JOIN kiln_runs r ON d.kiln_feed = r.kiln_feed AND d.kiln_run = r.kiln_run;


CREATE OR REPLACE TEMPORARY VIEW `kiln_rows_Patient` AS
SELECT *, kiln_source AS kiln_id_space, _metadata.file_path AS kiln_file, _metadata.row_index AS kiln_row
FROM parquet.`s3://lake/claims/r4-core-1/Patient` p
LEFT SEMI JOIN kiln_runs r ON p.kiln_feed = r.kiln_feed AND p.kiln_run = r.kiln_run;

CREATE OR REPLACE TEMPORARY VIEW `Patient` AS
SELECT `resourceType`, `id`, `meta`, `implicitRules`, `language`, `text`, `identifier`, `active`, `name`, `telecom`, `gender`, `birthDate`, `__birthDate_start`, `deceasedBoolean`, `deceasedDateTime`, `__deceasedDateTime_start`, `address`, `maritalStatus`, `multipleBirthBoolean`, `multipleBirthInteger`, `photo`, `contact`, `communication`, `generalPractitioner`, `managingOrganization`, `link`, `__extension`, `__contained`, `__residual`, `__origin`,
  kiln_feed, kiln_run, kiln_source, kiln_id_space
FROM `kiln_rows_Patient`;

CREATE OR REPLACE TEMPORARY VIEW `current_Patient` AS
WITH version AS (
  SELECT kiln_id_space, id, kiln_file, kiln_row,
    coalesce(unix_micros(CASE WHEN __origin.transactionTime RLIKE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$' THEN try_to_timestamp(__origin.transactionTime) END), -9223372036854775807) AS exported,
    coalesce(unix_micros(meta.__lastUpdated_start), -9223372036854775807) AS updated,
    coalesce(__origin.run, '') AS run, coalesce(__origin.file, '') AS file, coalesce(__origin.line, 0) AS line
  FROM `kiln_rows_Patient`
), ranked AS (
  SELECT kiln_id_space, id, kiln_file, kiln_row, exported, row_number() OVER (
    PARTITION BY kiln_id_space, id, CASE WHEN id IS NULL THEN kiln_file END, CASE WHEN id IS NULL THEN kiln_row END
    ORDER BY exported DESC, updated DESC, run DESC, file DESC, line DESC, kiln_file DESC, kiln_row DESC) AS place
  FROM version
), gone AS (
  SELECT kiln_id_space, id, max(coalesce(unix_micros(CASE WHEN __origin.transactionTime RLIKE '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})$' THEN try_to_timestamp(__origin.transactionTime) END), -9223372036854775807)) AS deleted
  FROM kiln_tombstones
  WHERE resourceType = 'Patient'
  GROUP BY kiln_id_space, id
), kept AS (
  SELECT n.kiln_file, n.kiln_row
  FROM (SELECT * FROM ranked WHERE place = 1) n LEFT ANTI JOIN gone g
    ON n.kiln_id_space = g.kiln_id_space AND n.id = g.id AND n.exported <= g.deleted
)
-- A hash join, since a sort-merge join would sort the wide rows.
SELECT /*+ SHUFFLE_HASH(k) */ `resourceType`, `id`, `meta`, `implicitRules`, `language`, `text`, `identifier`, `active`, `name`, `telecom`, `gender`, `birthDate`, `__birthDate_start`, `deceasedBoolean`, `deceasedDateTime`, `__deceasedDateTime_start`, `address`, `maritalStatus`, `multipleBirthBoolean`, `multipleBirthInteger`, `photo`, `contact`, `communication`, `generalPractitioner`, `managingOrganization`, `link`, `__extension`, `__contained`, `__residual`, `__origin`,
  kiln_feed, kiln_run, kiln_source, kiln_id_space
FROM `kiln_rows_Patient` v LEFT SEMI JOIN kept k ON v.kiln_file = k.kiln_file AND v.kiln_row = k.kiln_row;

CREATE OR REPLACE TEMPORARY VIEW kiln_part_lists (
  run STRING, parts ARRAY<STRUCT<type: STRING, key: STRING, `rows`: BIGINT, bytes: BIGINT, sha256: STRING>>
) USING json OPTIONS (path 's3://lake/claims/_fhirkiln/runs/*/parts.json', multiLine 'true', mode 'FAILFAST');

CREATE OR REPLACE TEMPORARY VIEW kiln_parts AS
SELECT r.kiln_source, r.kiln_feed, r.kiln_run, p.type, concat('s3://lake/claims/', p.key) AS file, p.`rows`, p.bytes, p.sha256
FROM (SELECT run, explode(parts) AS p FROM kiln_part_lists) l JOIN kiln_runs r ON l.run = r.kiln_run;

-- Views of what fhirkiln published, for Athena (engine version 3), and for Trino over the same Glue catalog.
--
--   patient, ...              every live version of every resource
--   current_patient, ...      the newest version of each resource, unless it was deleted since
--   kiln_tombstones           what servers said was deleted
--   kiln_runs, kiln_parts     the live runs, and their files
--
-- The tables have no partitions. Symlink manifests name their files, and each run that publishes writes
-- the manifests, so there is nothing to repair or refresh. Print the script again for a new resource type,
-- and after a change of id_space.
--
-- Athena runs one statement at a time. Names are in lower case, as Glue keeps them: queries may write
-- them in any case. A name that is a keyword or begins with an underscore needs backticks in
-- DDL and double quotes in queries. Times are UTC, to the millisecond.
{{- range .Clashes}}
--
-- There is no view of {{.LeftOut}}, a name that differs from {{.Kept}} only in case. Its files are in the folder {{.LeftOut}}.
{{- end}}

-- The feeds' objects. Each is one line of JSON.
CREATE EXTERNAL TABLE IF NOT EXISTS `kiln_feeds` (
  `version` bigint, `feed` string, `source` string,
  `runs` array<struct<`run`:string,`kind`:string,`status`:string,`published`:string,`transaction_time`:string,`resources`:bigint,`parts`:bigint,`bytes`:bigint>>
)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION {{hiveText .Feeds}};

CREATE OR REPLACE VIEW "kiln_runs" AS
SELECT f."source" AS kiln_source, f."feed" AS kiln_feed, u."run" AS kiln_run, u."kind", u."status",
  CAST({{instant `u."published"`}} AS timestamp) AS "published", u."transaction_time", u."resources", u."parts", u."bytes"
FROM "kiln_feeds" f
CROSS JOIN UNNEST(f."runs") AS u ("run", "kind", "status", "published", "transaction_time", "resources", "parts", "bytes")
WHERE f."version" = 1;

CREATE EXTERNAL TABLE IF NOT EXISTS `kiln_rows_deleted` (
  `resourcetype` string,
  `id` string,
  `__origin` struct<`source`:string,`feed`:string,`run`:string,`file`:string,`line`:bigint,`transactiontime`:string>
)
{{template "symlinks"}}
LOCATION {{hiveText .Deleted}};

CREATE OR REPLACE VIEW "kiln_tombstones" AS
SELECT "resourcetype", "id", "__origin", kiln_source, kiln_feed, kiln_run, {{.IDSpace}} AS kiln_id_space
FROM (
  SELECT *, {{partitions `"$path"`}}
  FROM "kiln_rows_deleted"
);
{{range .Types}}
CREATE EXTERNAL TABLE IF NOT EXISTS {{hiveName .Rows}} (
  {{.DDL}}
)
{{template "symlinks"}}
LOCATION {{hiveText .Folder}};

CREATE OR REPLACE VIEW {{name .Name}} AS
SELECT {{.Columns}},
  kiln_source, kiln_feed, kiln_run, {{$.IDSpace}} AS kiln_id_space
FROM (
  SELECT *, {{partitions `"$path"`}}
  FROM {{name .Rows}}
);

-- Rows are matched by file, line and id, since Athena has no row numbers. A resource comes out twice if it
-- is on the same line of two output files whose URLs differ only in their query.
CREATE OR REPLACE VIEW {{name .Current}} AS
WITH part AS (
  SELECT *, "$path" AS kiln_file, {{partitions `"$path"`}}
  FROM {{name .Rows}}
), version AS (
  SELECT {{$.IDSpace}} AS kiln_id_space, "id", kiln_file,
    coalesce({{instant `"__origin"."transactiontime"`}}, {{$.Never}}) AS exported,
    coalesce("meta"."__lastupdated_start", TIMESTAMP '0001-01-01 00:00:00') AS updated,
    coalesce("__origin"."run", '') AS run, coalesce("__origin"."file", '') AS file, coalesce("__origin"."line", 0) AS line
  FROM part
), ranked AS (
  SELECT kiln_id_space, "id", kiln_file, file, line, exported, row_number() OVER (
    PARTITION BY kiln_id_space, "id",
      CASE WHEN "id" IS NULL THEN kiln_file END, CASE WHEN "id" IS NULL THEN file END, CASE WHEN "id" IS NULL THEN line END
    ORDER BY exported DESC, updated DESC, run DESC, file DESC, line DESC, kiln_file DESC) AS place
  FROM version
), gone AS (
  SELECT kiln_id_space, "id", max(coalesce({{instant `"__origin"."transactiontime"`}}, {{$.Never}})) AS deleted
  FROM "kiln_tombstones"
  WHERE "resourcetype" = {{text .Name}}
  GROUP BY kiln_id_space, "id"
), kept AS (
  SELECT n.kiln_file, n.file, n.line, coalesce(n."id", '') AS id
  FROM ranked n LEFT JOIN gone g ON n.kiln_id_space = g.kiln_id_space AND n."id" = g."id"
  WHERE n.place = 1 AND (g.deleted IS NULL OR n.exported > g.deleted)
)
SELECT {{.Qualified}},
  kiln_source, kiln_feed, kiln_run, {{$.IDSpace}} AS kiln_id_space
FROM part p JOIN kept k ON p.kiln_file = k.kiln_file AND coalesce(p."__origin"."file", '') = k.file
  AND coalesce(p."__origin"."line", 0) = k.line AND coalesce(p."id", '') = k.id;
{{end}}
{{- if .Types}}
CREATE OR REPLACE VIEW "kiln_parts" AS
SELECT {{partitions "file"}}, "type", file, "rows"
FROM (
{{- range $i, $t := .Types}}{{if $i}}
  UNION ALL{{end}}
  SELECT {{text $t.Name}} AS "type", "$path" AS file, count(*) AS "rows" FROM {{name $t.Rows}} GROUP BY "$path"
{{- end}}
  UNION ALL
  SELECT 'deleted' AS "type", "$path" AS file, count(*) AS "rows" FROM "kiln_rows_deleted" GROUP BY "$path"
);
{{end}}
{{- define "symlinks" -}}
ROW FORMAT SERDE 'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
STORED AS INPUTFORMAT 'org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat'
OUTPUTFORMAT 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
{{- end}}

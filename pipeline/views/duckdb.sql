-- Views of what fhirkiln published, for DuckDB from version 1.4.
--
--   "Patient", ...            every live version of every resource
--   "current_Patient", ...    the newest version of each resource, unless it was deleted since
--   kiln_tombstones           what servers said was deleted
--   kiln_runs, kiln_parts     the live runs, and their files
--
-- Every query reads from the feeds' objects which runs are live, so the views stay right when
-- more runs are published. Print them again for a new resource type,{{if not .Tombstones}} for the first tombstones,{{end}}
-- and after a change of id_space.
--
-- A query sees the runs as they were when its transaction began. To see the same runs in several
-- queries, put them between BEGIN TRANSACTION and COMMIT, less than an hour apart.
{{- if .S3}}
--
-- S3 needs the extension httpfs and a secret. This one takes the AWS CLI's credentials:
--   INSTALL aws; CREATE SECRET (TYPE s3, PROVIDER credential_chain);
-- and this one is for your own server:
--   CREATE SECRET (TYPE s3, KEY_ID '...', SECRET '...', ENDPOINT 'localhost:9000', URL_STYLE 'path', USE_SSL false);
{{- end}}
{{- range .Clashes}}
--
-- There is no view of {{.LeftOut}}, a name that differs from {{.Kept}} only in case. Its files are in the folder {{.LeftOut}}.
{{- end}}

CREATE OR REPLACE VIEW kiln_runs AS
WITH object AS (
  SELECT from_json(content, '{"version": "BIGINT", "feed": "VARCHAR", "source": "VARCHAR",
    "runs": [{"run": "VARCHAR", "kind": "VARCHAR", "status": "VARCHAR", "published": "VARCHAR", "transaction_time": "VARCHAR",
      "resources": "BIGINT", "parts": "BIGINT", "bytes": "BIGINT", "replaces": ["VARCHAR"], "at": "VARCHAR"}],
    "retired": [{"run": "VARCHAR", "kind": "VARCHAR", "status": "VARCHAR", "published": "VARCHAR", "transaction_time": "VARCHAR",
      "resources": "BIGINT", "parts": "BIGINT", "bytes": "BIGINT", "replaces": ["VARCHAR"], "at": "VARCHAR"}]}') AS o
  FROM read_text({{text .Feeds}})
), feed AS (
  SELECT CASE o.version WHEN 1 THEN o
    ELSE error('a feed is kept by another version of fhirkiln: print the views with that one') END AS o
  FROM object
), entry AS (
  SELECT o, unnest(o.runs) AS r, false AS is_retired FROM feed
  UNION ALL
  SELECT o, unnest(o.retired) AS r, true AS is_retired FROM feed
), run AS (
  SELECT o.source AS kiln_source, o.feed AS kiln_feed, r.run AS kiln_run, r.kind, r.status,
    TRY_CAST(r.published AS TIMESTAMPTZ) AS published, r.transaction_time, r.resources, r.parts, r.bytes, r.replaces,
    is_retired, TRY_CAST(r.at AS TIMESTAMPTZ) AS retired
  FROM entry
)
-- The files of a type are listed when a query is planned, a moment before this is read. A run that is
-- published in between might be listed in part, so what counts is the start of the transaction: runs
-- published later are not live yet, and runs retired later still are. A time that is more than an hour
-- ahead comes from a wrong clock, and is ignored.
SELECT * EXCLUDE (is_retired, retired)
FROM run
WHERE coalesce(epoch_us(published) - epoch_us(now()) NOT BETWEEN 1 AND 3600000000, true)
  AND (NOT is_retired OR coalesce(epoch_us(retired) - epoch_us(now()) BETWEEN 1 AND 3600000000, false));

CREATE OR REPLACE VIEW kiln_parts AS
WITH object AS (
  SELECT from_json(content, '{"run": "VARCHAR",
    "parts": [{"type": "VARCHAR", "key": "VARCHAR", "rows": "BIGINT", "bytes": "BIGINT", "sha256": "VARCHAR"}]}') AS o
  FROM read_text({{text .Parts}})
), part AS (
  SELECT o.run AS kiln_run, unnest(o.parts) AS p FROM object
)
SELECT kiln_source, kiln_feed, kiln_run, p.type, {{text .Prefix}} || p.key AS file, p.rows, p.bytes, p.sha256
FROM part JOIN kiln_runs USING (kiln_run);

CREATE OR REPLACE VIEW kiln_tombstones AS
WITH live AS MATERIALIZED (
  SELECT kiln_feed, kiln_run FROM kiln_runs
), {{template "tombstone" .}}
SELECT resourceType, id, __origin, kiln_source, kiln_feed, kiln_run, kiln_id_space FROM tombstone;
{{range .Types}}
CREATE OR REPLACE VIEW {{name .Name}} AS
SELECT *, {{$.IDSpace}} AS kiln_id_space
FROM read_parquet({{text .Folder}}, hive_partitioning = true, hive_types_autocast = false)
SEMI JOIN kiln_runs USING (kiln_feed, kiln_run);

CREATE OR REPLACE VIEW {{name .Current}} AS
SELECT * EXCLUDE (filename, file_row_number), {{$.IDSpace}} AS kiln_id_space
FROM read_parquet({{text .Folder}}, hive_partitioning = true, hive_types_autocast = false,
  filename = true, file_row_number = true)
-- The following is narrow: it finds which rows are current.
SEMI JOIN (
  WITH live AS MATERIALIZED (
    SELECT kiln_feed, kiln_run FROM kiln_runs
  ), version AS NOT MATERIALIZED (
    SELECT {{$.IDSpace}} AS kiln_id_space, id, filename, file_row_number,
      coalesce({{instant "__origin.transactionTime"}}, {{$.Never}}) AS exported,
      coalesce(epoch_us(meta.__lastUpdated_start), {{$.Never}}) AS updated,
      coalesce(__origin.run, '') AS run, coalesce(__origin.file, '') AS file, coalesce(__origin.line, 0) AS line
    FROM read_parquet({{text .Folder}}, hive_partitioning = true, hive_types_autocast = false,
      filename = true, file_row_number = true)
    SEMI JOIN live USING (kiln_feed, kiln_run)
  ), newest AS NOT MATERIALIZED (
    SELECT kiln_id_space, id, max(exported) AS exported, arg_max({f: filename, n: file_row_number},
      (exported, updated, run, file, line, filename, file_row_number)) AS place
    FROM version
    GROUP BY kiln_id_space, id, CASE WHEN id IS NULL THEN {f: filename, n: file_row_number} END
  ), {{template "tombstone" $}}, gone AS NOT MATERIALIZED (
    SELECT kiln_id_space, id, max(coalesce({{instant "__origin.transactionTime"}}, {{$.Never}})) AS deleted
    FROM tombstone
    WHERE resourceType = {{text .Name}}
    GROUP BY kiln_id_space, id
  )
  SELECT place.f AS filename, place.n AS file_row_number
  FROM newest ANTI JOIN gone
    ON newest.kiln_id_space = gone.kiln_id_space AND newest.id = gone.id AND newest.exported <= gone.deleted
) USING (filename, file_row_number);
{{end -}}
{{- define "tombstone" -}}
tombstone AS NOT MATERIALIZED (
{{- if .Tombstones}}
  SELECT *, {{.IDSpace}} AS kiln_id_space
  FROM read_parquet({{text .Deleted}}, hive_partitioning = true, hive_types_autocast = false)
  SEMI JOIN live USING (kiln_feed, kiln_run)
{{- else}}
  -- There were none when this was printed, and DuckDB cannot read files that do not exist.
  SELECT resourceType, NULL::VARCHAR AS id,
    NULL::STRUCT(source VARCHAR, feed VARCHAR, run VARCHAR, file VARCHAR, line BIGINT, transactionTime VARCHAR) AS __origin,
    NULL::VARCHAR AS kiln_source, NULL::VARCHAR AS kiln_feed, NULL::VARCHAR AS kiln_run, NULL::VARCHAR AS kiln_id_space
  FROM (
    SELECT CASE WHEN count(*) > 0 THEN error('there are tombstones now: print the views anew') END::VARCHAR AS resourceType
    FROM (SELECT regexp_extract(file, 'kiln_run=([^/]+)', 1) AS kiln_run FROM glob({{text .Deleted}}))
    SEMI JOIN live USING (kiln_run)
  )
  WHERE resourceType IS NOT NULL
{{- end}}
)
{{- end}}

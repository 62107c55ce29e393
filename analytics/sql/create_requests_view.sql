-- One row per request: of the lines that a redelivery published again, one is kept.
-- The decision wins over a RequestFailed line with the same id; then the earliest line wins.
-- Lines without a requestId (messages nobody could read) are all kept; malformed lines are not.
-- A dt filter on this view does not prune partitions, because the rows of one request may lie in
-- several: the statements beside this one therefore filter first and keep one row themselves.
-- Parameters: none
CREATE OR REPLACE VIEW participation_requests AS
SELECT
  schemaVersion, env, eventId, requestId, eventType, finalStatus, resultCode,
  timestamps, delivery, failure, meta, dt, hour
FROM (
  SELECT
    schemaVersion, env, eventId, requestId, eventType, finalStatus, resultCode,
    timestamps, delivery, failure, meta, dt, hour,
    row_number() OVER (
      PARTITION BY requestId
      ORDER BY CASE WHEN eventType IS NULL THEN 1 ELSE 0 END, timestamps.finishedAt, dt, hour
    ) AS publication
  FROM participation_logs
  WHERE schemaVersion IS NOT NULL
) AS publications
WHERE publication = 1 OR requestId IS NULL;

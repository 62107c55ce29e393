-- Totals: lines, requests, repeated and malformed lines, and the span of the times.
-- By arrival day. One row. Malformed lines count under every event_id: nobody knows whose they
-- are. A line without a requestId counts as a request of its own.
-- Parameters: dt_from, dt_to, event_id
SELECT
  count(*) AS line_count,
  count_if(schemaVersion IS NULL) AS malformed_line_count,
  count(DISTINCT requestId)
    + count_if(schemaVersion IS NOT NULL AND requestId IS NULL) AS request_count,
  count(requestId) - count(DISTINCT requestId) AS repeated_line_count,
  count(DISTINCT eventId) AS event_count,
  from_unixtime(min(timestamps.queuedAt) / 1000) AS first_queued_at,
  from_unixtime(max(timestamps.finishedAt) / 1000) AS last_finished_at
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND (schemaVersion IS NULL OR ? IN ('', eventId));

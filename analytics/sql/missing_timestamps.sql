-- Missing timestamps: lines that lack one of the three times; must be 0.
-- By arrival day. Without an event_id a malformed line counts here too: it has no times.
-- Specification: g1 §11.2.
-- Parameters: dt_from, dt_to, event_id
SELECT
  count(*) AS missing_timestamp_count
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND ? IN ('', eventId)
  AND (
    timestamps.queuedAt IS NULL
    OR timestamps.startedAt IS NULL
    OR timestamps.finishedAt IS NULL
  );

-- Traffic per minute: requests by the minute they were queued in, each request once.
-- By event time: the window is in epoch ms, its end excluded; the partitions scanned reach beyond
-- it, for lines that arrived late or in a file begun the day before.
-- Parameters: scan_from, scan_to, from_ms, to_ms, event_id
SELECT
  date_trunc('minute', from_unixtime(timestamps.queuedAt / 1000)) AS min_time,
  count(DISTINCT requestId) + count_if(requestId IS NULL) AS traffic_per_min
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND timestamps.queuedAt >= ?
  AND timestamps.queuedAt < ?
  AND ? IN ('', eventId)
GROUP BY 1
ORDER BY 1;

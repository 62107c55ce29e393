-- Throughput per second: requests by the second they were completed in, each request once.
-- By event time: the window is in epoch ms, its end excluded; the partitions scanned reach beyond
-- it, for lines that arrived late or in a file begun the day before.
-- Parameters: scan_from, scan_to, from_ms, to_ms, event_id
SELECT
  date_trunc('second', from_unixtime(timestamps.finishedAt / 1000)) AS sec_time,
  count(DISTINCT requestId) + count_if(requestId IS NULL) AS throughput_per_sec
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND timestamps.finishedAt >= ?
  AND timestamps.finishedAt < ?
  AND ? IN ('', eventId)
GROUP BY 1
ORDER BY 1;

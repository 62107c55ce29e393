-- Throughput: lines by minute of completion.
-- By arrival day. One minute has a row for each partition hour that its lines arrived in; a row
-- without a minute counts lines that are malformed or lack the time.
-- Specification: g1 §10.2.
-- Parameters: dt_from, dt_to, event_id
SELECT
  dt,
  hour,
  date_trunc('minute', from_unixtime(timestamps.finishedAt / 1000)) AS min_time,
  count(*) AS throughput_per_min
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND ? IN ('', eventId)
GROUP BY 1, 2, 3
ORDER BY min_time DESC, dt DESC, hour DESC;

-- Malformed lines: lines that are no event, by the partition they are in; there must be none.
-- By arrival day. The SerDe reads such a line as a row of NULLs; every event has a schemaVersion.
-- Parameters: dt_from, dt_to
SELECT
  dt,
  hour,
  count(*) AS malformed_line_count
FROM participation_logs
WHERE dt BETWEEN ? AND ?
  AND schemaVersion IS NULL
GROUP BY 1, 2
ORDER BY 1, 2;

-- Seats against capacity: for each FIRST_COME event, the seats given and the requests refused.
-- By arrival day, each request once. The capacity is the caller's knowledge (0: unknown), as the
-- lake does not hold it; a refusal for capacity means that the event sold out.
-- Parameters: dt_from, dt_to, event_id, capacity, capacity
WITH publications AS (
  SELECT
    requestId,
    eventId,
    finalStatus,
    resultCode,
    timestamps.finishedAt AS finished_ms,
    row_number() OVER (
      PARTITION BY requestId
      ORDER BY timestamps.finishedAt, dt, hour
    ) AS publication
  FROM participation_logs
  WHERE dt BETWEEN ? AND ?
    AND ? IN ('', eventId)
    AND eventType = 'FIRST_COME'
)
SELECT
  eventId,
  count_if(finalStatus = 'SUCCEEDED') AS seat_count,
  CAST(nullif(?, 0) AS BIGINT) AS capacity,
  CAST(count_if(finalStatus = 'SUCCEEDED') - nullif(?, 0) AS BIGINT) AS over_capacity,
  count_if(resultCode = 'REJECTED_CAPACITY') AS refused_count,
  from_unixtime(
    max(CASE WHEN finalStatus = 'SUCCEEDED' THEN finished_ms END) / 1000
  ) AS last_seat_at
FROM publications
WHERE publication = 1
GROUP BY eventId
ORDER BY eventId;

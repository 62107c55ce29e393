-- Overtaking: winners queued after a loser of their event; the row without an event is all events.
-- By arrival day, each request once: ask for all days of an event. A loser was refused for
-- capacity; equal queuedAt is no overtaking, and a request without queuedAt does not count. A
-- single early loser is overtaken by everybody queued later: seats_out_of_turn says how many seats
-- would have gone to others in the strict order of queuedAt.
-- Parameters: dt_from, dt_to, event_id
WITH publications AS (
  SELECT
    eventId,
    finalStatus,
    resultCode,
    timestamps.queuedAt AS queued_ms,
    row_number() OVER (
      PARTITION BY requestId
      ORDER BY timestamps.finishedAt, dt, hour
    ) AS publication
  FROM participation_logs
  WHERE dt BETWEEN ? AND ?
    AND ? IN ('', eventId)
    AND eventType = 'FIRST_COME'
), requests AS (
  SELECT
    eventId,
    finalStatus = 'SUCCEEDED' AS has_won,
    queued_ms - min(CASE WHEN resultCode = 'REJECTED_CAPACITY' THEN queued_ms END) OVER (
      PARTITION BY eventId
    ) AS after_first_loser_ms,
    count(CASE WHEN finalStatus = 'SUCCEEDED' THEN 1 END) OVER (PARTITION BY eventId) AS seats,
    row_number() OVER (
      PARTITION BY eventId
      ORDER BY queued_ms, CASE WHEN finalStatus = 'SUCCEEDED' THEN 0 ELSE 1 END
    ) AS turn
  FROM publications
  WHERE publication = 1
    AND queued_ms IS NOT NULL
    AND (finalStatus = 'SUCCEEDED' OR resultCode = 'REJECTED_CAPACITY')
)
SELECT
  eventId,
  count_if(has_won) AS winner_count,
  count_if(has_won AND after_first_loser_ms > 0) AS winners_overtaking,
  round(
    count_if(has_won AND after_first_loser_ms > 0) * 100.0E0 / nullif(count_if(has_won), 0), 2
  ) AS ratio_percent,
  coalesce(
    max(CASE WHEN has_won AND after_first_loser_ms > 0 THEN after_first_loser_ms END), 0
  ) AS greatest_overtaking_ms,
  count_if(has_won AND turn > seats) AS seats_out_of_turn
FROM requests
GROUP BY ROLLUP (eventId)
HAVING count(*) > 0
ORDER BY eventId;

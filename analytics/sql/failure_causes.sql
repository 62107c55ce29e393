-- Failure causes: requests that ended FAILED_FINAL, by result code, class and error code.
-- By arrival day, each request once. example_message is the first of the messages in the alphabet.
-- Parameters: dt_from, dt_to, event_id
WITH publications AS (
  SELECT
    requestId,
    finalStatus,
    resultCode,
    failure,
    row_number() OVER (
      PARTITION BY requestId
      ORDER BY CASE WHEN eventType IS NULL THEN 1 ELSE 0 END, timestamps.finishedAt, dt, hour
    ) AS publication
  FROM participation_logs
  WHERE dt BETWEEN ? AND ?
    AND ? IN ('', eventId)
    AND schemaVersion IS NOT NULL
)
SELECT
  resultCode,
  failure.failureClass AS failureClass,
  failure.errorCode AS errorCode,
  count(*) AS request_count,
  min(failure.errorMessage) AS example_message
FROM publications
WHERE finalStatus = 'FAILED_FINAL'
  AND (publication = 1 OR requestId IS NULL)
GROUP BY 1, 2, 3
ORDER BY request_count DESC, 1, 2, 3;

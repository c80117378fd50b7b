-- The number of products that each client deleted, and when it did so first and last.
SELECT
  json_extract_scalar(actor, '$.apiKeyId') AS api_key_id,
  count(*) AS deletions,
  min(occurredat) AS first_at,
  max(occurredat) AS last_at
FROM events
WHERE year <= date_format(current_date, '%Y')
  AND type = 'DELETE'
  AND outcome = 'APPLIED'
GROUP BY json_extract_scalar(actor, '$.apiKeyId')
ORDER BY deletions DESC

-- Every change that was requested of one product, with its price before and after, the earliest first.
-- Athena asks for one parameter: the product's ID in single quotation marks.
SELECT
  occurredat,
  type,
  outcome,
  reason,
  version,
  json_extract_scalar(actor, '$.apiKeyId') AS api_key_id,
  json_extract_scalar(before, '$.price') AS price_before,
  json_extract_scalar(before, '$.currency') AS currency_before,
  json_extract_scalar(after, '$.price') AS price_after,
  json_extract_scalar(after, '$.currency') AS currency_after,
  requestid
FROM events
WHERE year <= date_format(current_date, '%Y')
  AND productid = ?
ORDER BY eventid

-- Every change that was made in the database directly, the newest first. Items that expired aren't among them.
SELECT
  observedat,
  changetype,
  json_extract_scalar(key, '$.PK') AS pk,
  json_extract_scalar(key, '$.SK') AS sk,
  before,
  after
FROM out_of_band
WHERE year <= date_format(current_date, '%Y')
  AND cause = 'MANUAL'
ORDER BY observedat DESC

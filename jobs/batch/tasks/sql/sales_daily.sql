-- Purchases of the day by category and the buyer's country. Those of events without a country have one of their own.
INSERT OVERWRITE TABLE ${sales_daily} PARTITION (`date`)
SELECT
  category,
  COALESCE(country, '${unknown_country}') AS country,
  COUNT(*) AS purchases,
  SUM(quantity) AS units,
  CAST(SUM(total) AS DECIMAL(18,2)) AS revenue,
  `date`
FROM ${purchases} p
GROUP BY `date`, category, COALESCE(country, '${unknown_country}')

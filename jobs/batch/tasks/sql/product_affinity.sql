-- Products viewed against bought, as category_affinity.sql. A product has the category that its events name.
INSERT OVERWRITE TABLE ${product_affinity} PARTITION (`date`)
WITH viewed AS (
  SELECT
    product_id, MAX(category) AS category, COUNT(*) AS `views`, COUNT(DISTINCT user_id, session_id) AS viewing_sessions
  FROM ${clicks} c
  WHERE page = 'product'
  GROUP BY product_id
),
bought AS (
  SELECT
    product_id, MAX(category) AS category, COUNT(DISTINCT user_id, session_id) AS buying_sessions,
    SUM(quantity) AS units, SUM(total) AS revenue
  FROM ${purchases} p
  GROUP BY product_id
),
products AS (
  SELECT
    COALESCE(v.product_id, b.product_id) AS product_id,
    COALESCE(b.category, v.category, 'unknown') AS category,
    COALESCE(v.`views`, 0) AS `views`,
    COALESCE(v.viewing_sessions, 0) AS viewing_sessions,
    COALESCE(b.buying_sessions, 0) AS buying_sessions,
    COALESCE(b.units, 0) AS units,
    COALESCE(b.revenue, 0) AS revenue
  FROM viewed v
  FULL OUTER JOIN bought b ON b.product_id = v.product_id
)
SELECT
  p.product_id,
  p.category,
  p.`views`,
  p.viewing_sessions,
  p.buying_sessions,
  p.units,
  CAST(p.revenue AS DECIMAL(18,2)) AS revenue,
  CAST(
    CAST(p.units * SUM(p.`views`) OVER () AS DECIMAL(28,6)) / NULLIF(p.`views` * SUM(p.units) OVER (), 0) AS DECIMAL(9,4)
  ) AS affinity,
  ${date} AS `date`
FROM products p

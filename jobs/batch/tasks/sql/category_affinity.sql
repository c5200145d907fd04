-- Categories viewed against bought. A view is a click on a product's page. A view without a category takes that of the
-- product's other events of the day, else 'unknown'. Ranks are shared by equals. `affinity` is the category's share of
-- the units bought over its share of the views; NULL without views.
INSERT OVERWRITE TABLE ${category_affinity} PARTITION (`date`)
WITH clicks AS (
  SELECT
    user_id, session_id,
    COALESCE(category, MAX(category) OVER (PARTITION BY product_id), 'unknown') AS category
  FROM ${clicks} c
  WHERE page = 'product'
),
viewed AS (
  SELECT category, COUNT(*) AS `views`, COUNT(DISTINCT user_id, session_id) AS viewing_sessions
  FROM clicks
  GROUP BY category
),
bought AS (
  SELECT
    category, COUNT(DISTINCT user_id, session_id) AS buying_sessions, SUM(quantity) AS units, SUM(total) AS revenue
  FROM ${purchases} p
  GROUP BY category
),
categories AS (
  SELECT
    COALESCE(v.category, b.category) AS category,
    COALESCE(v.`views`, 0) AS `views`,
    COALESCE(v.viewing_sessions, 0) AS viewing_sessions,
    COALESCE(b.buying_sessions, 0) AS buying_sessions,
    COALESCE(b.units, 0) AS units,
    COALESCE(b.revenue, 0) AS revenue
  FROM viewed v
  FULL OUTER JOIN bought b ON b.category = v.category
)
SELECT
  c.category,
  c.`views`,
  c.viewing_sessions,
  c.buying_sessions,
  c.units,
  CAST(c.revenue AS DECIMAL(18,2)) AS revenue,
  CAST(RANK() OVER (ORDER BY c.`views` DESC) AS BIGINT) AS view_rank,
  CAST(RANK() OVER (ORDER BY c.units DESC) AS BIGINT) AS bought_rank,
  CAST(
    CAST(c.units * SUM(c.`views`) OVER () AS DECIMAL(28,6)) / NULLIF(c.`views` * SUM(c.units) OVER (), 0) AS DECIMAL(9,4)
  ) AS affinity,
  ${date} AS `date`
FROM categories c

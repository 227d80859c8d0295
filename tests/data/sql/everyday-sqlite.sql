SELECT strftime('%Y', created_at) AS year, COUNT(*) FROM orders GROUP BY year
SELECT strftime('%Y-%m', created_at), SUM(total) FROM orders GROUP BY strftime('%Y-%m', created_at)
SELECT * FROM orders WHERE date(created_at) = date('now')
SELECT * FROM orders WHERE created_at >= date('now', '-7 days')
SELECT julianday('now') - julianday(created_at) FROM orders
SELECT name || ' <' || email || '>' FROM customers
SELECT IFNULL(email, '') FROM customers
SELECT GROUP_CONCAT(name, ', ') FROM customers
SELECT department, GROUP_CONCAT(name) FROM employees GROUP BY department
SELECT substr(name, 1, 3) FROM customers
SELECT instr(email, '@') FROM customers
SELECT name FROM customers WHERE name LIKE 'a%' COLLATE NOCASE
SELECT name FROM customers ORDER BY name COLLATE NOCASE
SELECT name FROM customers WHERE name GLOB 'A*'
SELECT * FROM customers LIMIT 5, 10
SELECT * FROM customers ORDER BY RANDOM() LIMIT 1
SELECT CAST(strftime('%Y', hired_on) AS INTEGER) FROM employees
SELECT name FROM employees WHERE strftime('%m', hired_on) = '12'
SELECT "name" FROM "customers"
SELECT total(salary) FROM employees
SELECT iif(stock > 0, 'yes', 'no') FROM products
SELECT printf('%.2f', price) FROM products
SELECT name, LAG(salary) OVER (ORDER BY hired_on) FROM employees
SELECT name FROM customers EXCEPT SELECT name FROM employees
SELECT name FROM customers INTERSECT SELECT name FROM employees
SELECT name FROM customers NATURAL JOIN orders
SELECT a.name FROM customers a CROSS JOIN products b
INSERT OR IGNORE INTO customers (id, name) VALUES (1, 'Ada')
INSERT OR REPLACE INTO customers (id, name) VALUES (1, 'Ada')
INSERT INTO customers (name) VALUES ('Ada') RETURNING id
INSERT INTO products (id, stock) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET stock = excluded.stock
INSERT INTO customers (id, name) VALUES (1, 'Ada') ON CONFLICT DO NOTHING
REPLACE INTO customers (id, name) VALUES (1, 'Ada')
DELETE FROM orders WHERE created_at < date('now', '-1 year')
UPDATE orders SET status = upper(status) WHERE status IS NOT NULL
WITH RECURSIVE chain AS (SELECT id, manager_id FROM employees WHERE id = 1 UNION ALL SELECT e.id, e.manager_id FROM employees e JOIN chain c ON e.manager_id = c.id) SELECT id FROM chain

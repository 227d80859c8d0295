SELECT YEAR(created_at) AS year, SUM(total) FROM orders GROUP BY year
SELECT YEAR(created_at), MONTH(created_at), COUNT(*) FROM orders GROUP BY YEAR(created_at), MONTH(created_at)
SELECT DATE_FORMAT(created_at, '%Y-%m') AS month, COUNT(*) FROM orders GROUP BY month
SELECT * FROM orders WHERE created_at >= NOW() - INTERVAL 7 DAY
SELECT * FROM orders WHERE created_at >= DATE_SUB(CURDATE(), INTERVAL 1 MONTH)
SELECT * FROM orders WHERE DATE(created_at) = CURDATE()
SELECT DATEDIFF(NOW(), created_at) FROM orders
SELECT TIMESTAMPDIFF(YEAR, hired_on, CURDATE()) FROM employees
SELECT CONCAT(name, ' (', city, ')') FROM customers
SELECT GROUP_CONCAT(name) FROM customers
SELECT department, GROUP_CONCAT(name ORDER BY name SEPARATOR ', ') FROM employees GROUP BY department
SELECT department, GROUP_CONCAT(DISTINCT name) FROM employees GROUP BY department
SELECT `name` FROM `customers` WHERE `city` = "Paris"
SELECT IFNULL(email, 'none') FROM customers
SELECT IF(stock > 0, 'yes', 'no') FROM products
SELECT name FROM customers WHERE name REGEXP '^A'
SELECT * FROM customers LIMIT 5, 10
SELECT * FROM customers ORDER BY RAND() LIMIT 1
SELECT SUBSTRING(name, 1, 3) FROM customers
SELECT SUBSTRING_INDEX(email, '@', -1) FROM customers
SELECT LEFT(name, 1) FROM customers
SELECT CAST(total AS SIGNED) FROM orders
SELECT CAST(total AS DECIMAL(10, 2)) FROM orders
SELECT name FROM employees ORDER BY salary DESC, name ASC
SELECT name, ROW_NUMBER() OVER (ORDER BY salary DESC) FROM employees
SELECT CHAR_LENGTH(name) FROM customers
SELECT DAYNAME(created_at), COUNT(*) FROM orders GROUP BY DAYNAME(created_at)
SELECT STR_TO_DATE('2020-01-01', '%Y-%m-%d') FROM orders
SELECT LAST_DAY(created_at) FROM orders
SELECT FORMAT(total, 2) FROM orders
SELECT department, COUNT(*) FROM employees GROUP BY department WITH ROLLUP
INSERT IGNORE INTO customers (id, name) VALUES (1, 'Ada')
INSERT INTO products (id, stock) VALUES (1, 5) ON DUPLICATE KEY UPDATE stock = VALUES(stock)
INSERT INTO products (id, stock) VALUES (1, 5) ON DUPLICATE KEY UPDATE stock = stock + 5
REPLACE INTO customers (id, name) VALUES (1, 'Ada')
UPDATE orders o JOIN customers c ON c.id = o.customer_id SET o.status = 'late' WHERE c.city = 'Rome'
UPDATE products SET stock = stock - 1 WHERE id = 3 LIMIT 1
DELETE FROM orders WHERE created_at < '2019-01-01' LIMIT 100
DELETE o FROM orders o JOIN customers c ON c.id = o.customer_id WHERE c.city = 'Rome'
INSERT INTO orders (customer_id, created_at) VALUES (1, NOW())
WITH RECURSIVE chain AS (SELECT id, manager_id FROM employees WHERE id = 1 UNION ALL SELECT e.id, e.manager_id FROM employees e JOIN chain c ON e.manager_id = c.id) SELECT id FROM chain
SELECT name FROM employees WHERE salary >= ALL (SELECT salary FROM employees)

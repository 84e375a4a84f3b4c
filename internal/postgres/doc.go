// Package postgres is the only place with SQL.
package postgres

// Package migrations carries the database schema as numbered SQL files inside the binary.
package migrations

import "embed"

// Files holds NNNNNN_name.up.sql and .down.sql pairs, in the layout that golang-migrate reads.
//
//go:embed *.sql
var Files embed.FS

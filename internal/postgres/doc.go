// Package postgres is the only place with SQL.
//
// Enumerations are stored as small numbers, those of package inventory, and statements write them as they are:
//
//	state of a finding   1 open, 2 fixed, 3 out of scope
//	severity             0 unknown, 1 low, 2 medium, 3 high, 4 critical
//	severity_source      0 nothing, 1 the row's score, 2 the vulnerability's score, 3 the row, 4 the vulnerability
//	attack_vector        0 unknown, 1 network, 2 adjacent, 3 local, 4 physical
package postgres

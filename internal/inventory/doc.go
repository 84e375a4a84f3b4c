// Package inventory holds the facts and decides which of them count: machines become assets, rows of the vulnerability
// report become findings. It knows no database, no HTTP and no JSON.
package inventory

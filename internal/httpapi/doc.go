// Package httpapi is the REST API: HTTP in, problem documents out. It decodes, checks who may do what, calls the service
// and converts; it decides nothing about inventories.
package httpapi

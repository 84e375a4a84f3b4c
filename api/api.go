// Package api is what other services may rely on: the wire types of the REST API and a typed client for it.
//
// It imports only the standard library. Types carry the names of the components of openapi.yaml and hold the same members; client
// methods carry the names of its operations. In answers an optional member without a value is an empty string, a zero time, or a
// nil pointer for numbers, booleans and objects. In requests every optional member is a pointer or a list, and nil leaves it out;
// new(value) makes such a pointer.
//
// Request types state their rules in `validate` tags in the language of github.com/go-playground/validator. Beyond its
// built-in rules they use two that the server defines: `name` (one character that can be seen, none that hides others) and `nocontrol` (no control characters). What credentials look like is the
// connector's to judge, which tells customers more about a mistake than that a pattern does not match.
package api

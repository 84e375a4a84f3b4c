// Package defender carries the product's contract, the OpenAPI document of its REST API.
package defender

import _ "embed"

// OpenAPI is the contract in YAML (OpenAPI 3.0.3), as reviewed and published. Callers must not modify it.
//
//go:embed openapi.yaml
var OpenAPI []byte

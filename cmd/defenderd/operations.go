package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/oasdiff/yaml"

	"pgp.internal/defender/internal/metrics"
)

// operationsOf lists the operations of an OpenAPI document.
func operationsOf(contract []byte) ([]metrics.Operation, error) {
	asJSON, err := yaml.YAMLToJSON(contract)
	if err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(asJSON, &document); err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	var list []metrics.Operation
	for route, item := range document.Paths {
		for member := range item {
			switch method := strings.ToUpper(member); method {
			case "GET", "POST", "PUT", "PATCH", "DELETE":
				list = append(list, metrics.Operation{Method: method, Route: route})
			}
		}
	}
	return list, nil
}

package postgres

import (
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// Statements for the tests of plans, exactly as the lists send them.

func AssetListStatement(id tenant.ID, f inventory.AssetFilter, p inventory.PageRequest) (string, []any, error) {
	k, err := assetOrder.page(p)
	if err != nil {
		return "", nil, err
	}
	statement, args := assetList(id, f, shortlist{}, k)
	return statement, args, nil
}

func VulnerabilityListStatement(id tenant.ID, f inventory.VulnerabilityFilter, p inventory.PageRequest) (string, []any, error) {
	k, err := vulnerabilityOrder.page(p)
	if err != nil {
		return "", nil, err
	}
	statement, args := vulnerabilityList(id, f, shortlist{}, k)
	return statement, args, nil
}

func FindingListStatement(id tenant.ID, f inventory.FindingFilter, p inventory.PageRequest) (string, []any, error) {
	k, err := findingOrder.page(p)
	if err != nil {
		return "", nil, err
	}
	statement, args := findingList(id, f, names{}, k)
	return statement, args, nil
}

// InstancesOfPage is the statement that fetches the instances of a page of findings.
const InstancesOfPage = instancesOfPage

// AssetWords and WordVector are what an import stores for the text search.
var (
	AssetWords = assetWords
	WordVector = wordVector
)

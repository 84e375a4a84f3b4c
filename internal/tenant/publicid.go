package tenant

import (
	"encoding/hex"

	"github.com/google/uuid"
)

// Prefixes of the public ids that tell people which object a line is about: the API, the operator's commands and the log
// write them alike.
const (
	TenantPrefix      = "tnt_"
	KeyPrefix         = "key_"
	IntegrationPrefix = "int_"
	RunPrefix         = "run_"
)

// PublicText spells a public id: the prefix and 32 hexadecimal digits.
func PublicText(prefix string, id uuid.UUID) string { return prefix + hex.EncodeToString(id[:]) }

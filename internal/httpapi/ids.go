package httpapi

import (
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// Prefixes of ids on the wire; behind each stand the 32 hexadecimal digits of a UUID.
const (
	integrationPrefix = tenant.IntegrationPrefix
	runPrefix         = tenant.RunPrefix
	assetPrefix       = "ast_"
	findingPrefix     = "fnd_"
	keyPrefix         = tenant.KeyPrefix
	tenantPrefix      = tenant.TenantPrefix
)

func integrationID(id uuid.UUID) string { return idText(integrationPrefix, id) }
func runID(id uuid.UUID) string         { return idText(runPrefix, id) }
func assetID(id uuid.UUID) string       { return idText(assetPrefix, id) }

func idText(prefix string, id uuid.UUID) string {
	var room [64]byte
	return string(hex.AppendEncode(append(room[:0], prefix...), id[:]))
}

// findingID joins the two halves of a finding: it is one vulnerability on one asset.
func findingID(asset uuid.UUID, vulnID int32) string {
	return findingPrefix + hexOf(asset) + "_" + strconv.FormatUint(uint64(uint32(vulnID)), 16)
}

func hexOf(id uuid.UUID) string { return hex.EncodeToString(id[:]) }

// parseID reads an id with its prefix. Only the canonical spelling is an id.
func parseID(prefix, text string) (uuid.UUID, bool) {
	digits, ok := strings.CutPrefix(text, prefix)
	if !ok || len(digits) != 32 || strings.ToLower(digits) != digits {
		return uuid.Nil, false
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return uuid.Nil, false
	}
	return uuid.UUID(raw), true
}

func parseFindingID(text string) (asset uuid.UUID, vulnID int32, ok bool) {
	head, tail, found := strings.Cut(strings.TrimPrefix(text, findingPrefix), "_")
	asset, ok = parseID(findingPrefix, findingPrefix+head)
	number, err := strconv.ParseUint(tail, 16, 31)
	ok = ok && found && err == nil && strings.HasPrefix(text, findingPrefix) && strconv.FormatUint(number, 16) == tail
	return asset, int32(number), ok //nolint:gosec // 31 bits fit
}

// pathID reads the path parameter id. Ids are opaque, so one that cannot be an id is simply not found, like another
// tenant's.
func pathID(r *http.Request, prefix, what string) (uuid.UUID, error) {
	id, ok := parseID(prefix, chi.URLParam(r, "id"))
	if !ok {
		return uuid.Nil, fault.New(fault.CodeNotFound, "there is no such "+what)
	}
	return id, nil
}

var vulnerabilityName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{2,63}$`)

// pathVulnerability reads the path parameter cve.
func pathVulnerability(r *http.Request) (string, error) {
	name := chi.URLParam(r, "cve")
	if !vulnerabilityName.MatchString(name) {
		return "", fault.New(fault.CodeNotFound, "there is no such vulnerability")
	}
	return strings.ToUpper(name), nil
}

package httpapi

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
)

// etagOf tags an integration. What merely tells how a request went, its validation, is not part of it.
func etagOf(id uuid.UUID, version int64, i api.Integration) (string, error) {
	i.ETag, i.Validation = "", nil
	return strongTag(id, version, i)
}

// strongTag tags a representation: the version that changes by people move, which object it is of, and a hash of everything that is
// shown.
func strongTag(id uuid.UUID, version int64, shown any) (string, error) {
	body, err := json.Marshal(shown)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(body)
	return fmt.Sprintf(`"%d.%s%x"`, version, objectOf(id), sum[:8]), nil
}

// objectOf tells tags of one object, and so of one tenant, from those of all others.
func objectOf(id uuid.UUID) string {
	sum := sha256.Sum256(id[:])
	return hex.EncodeToString(sum[:4])
}

// weakTag tags a body that somebody may compare and nobody changes.
func weakTag(body []byte) string {
	sum := sha256.Sum256(body)
	return fmt.Sprintf(`W/"%x"`, sum[:16])
}

// maxCondition bounds If-Match and If-None-Match, which are compared tag by tag.
const maxCondition = 512

// checkConditions refuses lists of tags that are too long, and an If-Match that would go unheeded: one without any tag, and one to what
// writes and has nothing to compare it with. Whoever sends it relies on it. An If-None-Match without any tag is met by whatever is there.
func checkConditions(r *http.Request, e endpoint) error {
	match := r.Header.Values("If-Match")
	if len(match) > 0 && !e.matches && r.Method != http.MethodGet && r.Method != http.MethodHead {
		return invalid(parameter("If-Match", "not_applicable", "Must be left out: what this operation changes has no tag that it could be held against"))
	}
	if len(match) > 0 && strings.Trim(strings.Join(match, ","), ", \t") == "" {
		return invalid(parameter("If-Match", "too_short", "Must have a tag, or *; leave it out to change whatever is there"))
	}
	for _, name := range []string{"If-Match", "If-None-Match"} {
		if len(strings.Join(r.Header.Values(name), ",")) > maxCondition {
			return invalid(parameter(name, "too_long", fmt.Sprintf("Must have at most %d characters", maxCondition)))
		}
	}
	return nil
}

// noneMatch reports whether If-None-Match holds the tag; weak comparison, as RFC 9110 asks for here.
func noneMatch(r *http.Request, etag string) bool {
	for tag := range strings.SplitSeq(strings.Join(r.Header.Values("If-None-Match"), ","), ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// matchedVersion evaluates If-Match against what is there of the object now: 0 when the caller did not ask, else the current version,
// or the fault precondition_failed. Only object and version count, so that a run that ended meanwhile fails nobody's change.
func matchedVersion(r *http.Request, id uuid.UUID, current int64) (int64, error) {
	header := strings.TrimSpace(strings.Join(r.Header.Values("If-Match"), ","))
	if header == "" {
		return 0, nil
	}
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || versionOf(tag, id) == current {
			return current, nil
		}
	}
	return 0, fault.New(fault.CodePreconditionFailed, "")
}

// meant is the version of an integration that If-Match lets through now, for changing it then and not another one; 0 without If-Match.
func (s *server) meant(r *http.Request, id uuid.UUID) (int64, error) {
	if len(r.Header.Values("If-Match")) == 0 {
		return 0, nil
	}
	i, err := s.Integrations.Get(r.Context(), caller(r), id)
	if err != nil {
		return 0, err
	}
	return matchedVersion(r, i.PublicID, i.Version)
}

// demandedVersion is matchedVersion for what cannot be undone: a request without If-Match is the fault precondition_required, with the
// status 428 (RFC 6585, section 3). * is a condition, too: whoever sends it has thought of it.
func demandedVersion(r *http.Request, id uuid.UUID, current int64) (int64, error) {
	if len(r.Header.Values("If-Match")) == 0 {
		return 0, fault.New(fault.CodePreconditionRequired, "")
	}
	return matchedVersion(r, id, current)
}

// ourTag is the form that strongTag gives a tag.
var ourTag = regexp.MustCompile(`^"([1-9][0-9]*)\.([0-9a-f]{8})[0-9a-f]{16}"$`)

// versionOf reads the version out of a strong tag of the object; 0, which nothing has, for any other one.
func versionOf(tag string, id uuid.UUID) int64 {
	parts := ourTag.FindStringSubmatch(tag)
	if parts == nil || parts[2] != objectOf(id) {
		return 0
	}
	version, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil { // no number of ours is so large
		return 0
	}
	return version
}

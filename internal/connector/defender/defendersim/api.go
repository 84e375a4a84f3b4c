package defendersim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// apiCall is one request to the Defender API on its way through the checks.
type apiCall struct {
	route    route
	claims   claims
	tokenErr error
	dir      *directory
	settings DirectorySpec
	request  *http.Request
	state    *world.State // what the answer is made of
	mapped   mapping      // the same for rows of machines and vulnerabilities
	params   params
	base     string
	path     string
	links    string // base of the links in the answer when a fault forges them
}

// apiError is a refusal of the Defender API.
type apiError struct {
	status     int
	code, text string
	retryAfter time.Duration
	empty      bool
}

func (e *apiError) write(w http.ResponseWriter, switches Switches) {
	if e.retryAfter > 0 {
		seconds := (e.retryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	if e.empty {
		w.WriteHeader(e.status)
		return
	}
	body := map[string]string{"code": e.code, "message": e.text}
	if !switches.OmitErrorTarget {
		body["target"] = "|" + NewGUID() + "."
	}
	answer := map[string]any{"error": body}
	if switches.ExtraFields {
		answer["@odata.simulated"] = map[string]any{"n": []int{1, 2}}
	}
	apiHeaders(w.Header())
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(answer) // a failed write means the client has gone
}

func apiHeaders(h http.Header) {
	h.Set("Content-Type", "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8")
	h.Set("OData-Version", "4.0")
	h.Set("Vary", "Accept-Encoding")
}

func odataError(format string, args ...any) *apiError {
	return &apiError{status: 400, code: "ODataError", text: fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) *apiError {
	return &apiError{status: 400, code: "BadRequest", text: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *apiError {
	return &apiError{status: 404, code: "ResourceNotFound", text: fmt.Sprintf(format, args...)}
}

// serveAPI checks token, quota, licence, role and parameters in this order, then answers.
func (s *Simulator) serveAPI(w http.ResponseWriter, r *http.Request, c *apiCall) {
	c.request = r
	c.base, c.path = s.linkBase(r, c.links), r.URL.Path
	if refusal := s.admit(r, c); refusal != nil {
		refusal.write(w, s.switches())
		return
	}
	var refusal *apiError
	if c.params, refusal = readParams(r.URL.Query()); refusal != nil {
		refusal.write(w, s.switches())
		return
	}
	c.state, c.mapped = c.dir.present(s.now()), c.dir.mapping(s.now(), s.switches().SixHourSnapshots)
	out := compress(w, r)
	defer out.finish(s.log)
	serve := map[string]func(http.ResponseWriter, *apiCall) *apiError{
		"machines": s.serveMachines, "machine": s.serveMachine, "machine_vulnerabilities": s.serveMachineVulnerabilities,
		"vulnerabilities": s.serveVulnerabilities, "vulnerability": s.serveVulnerability,
		"machines_vulnerabilities": s.serveMapping, "machine_references": s.serveReferences,
		"software_vulnerabilities": s.serveExport, "software_vulnerability_changes": s.serveChanges,
		"software_vulnerabilities_export": s.serveExportFiles,
	}[c.route.name]
	if serve == nil {
		(&apiError{status: 404, code: "NotFound", text: "No HTTP resource was found that matches the request URI."}).write(out, s.switches())
		return
	}
	if refusal := serve(out, c); refusal != nil {
		refusal.write(out, s.switches())
	}
}

func (s *Simulator) admit(r *http.Request, c *apiCall) *apiError {
	d, ok := s.directory(c.claims.TenantID)
	if c.tokenErr != nil || !ok || !accepted(c.claims.Audience, d.settings().Cloud, siteOf(r)) {
		return &apiError{status: 401, code: "Unauthorized", text: "Unauthorized", empty: s.switches().EmptyUnauthorized}
	}
	c.dir, c.settings = d, d.settings()
	if s.quotas != nil {
		if wait := s.quotas.take(c.claims.AppID, c.claims.TenantID, c.route.template, !s.switches().DocumentedLimitsOnly); wait > 0 {
			return &apiError{status: 429, code: "TooManyRequests", retryAfter: wait,
				text: fmt.Sprintf("You have exceeded the allowed number of calls. Retry after %d seconds.", int((wait+time.Second-1)/time.Second))}
		}
	}
	if c.settings.Licence == LicenceInactive {
		return &apiError{status: 401, code: "Unauthorized", text: "Unauthorized request - reason of failure: Account mode is inactive"}
	}
	if r.Method != http.MethodGet {
		return &apiError{status: 405, code: "BadRequest", text: "The requested resource does not support http method '" + r.Method + "'."}
	}
	return s.authorise(c)
}

// accepted reports whether the API at a host takes a token of this audience. One for Defender XDR is taken, and found to hold no
// role.
func accepted(audience string, c Cloud, at site) bool {
	audience = strings.TrimSuffix(audience, "/")
	_, defender := c.has(audience)
	return at.serves(c) && (defender || audience == audienceXDR)
}

// authorise checks licence and role of the route.
func (s *Simulator) authorise(c *apiCall) *apiError {
	if c.route.name == "unknown" {
		return nil
	}
	required := []string{RoleVulnerabilityRead}
	switch c.route.name {
	case "machines", "machine":
		required = []string{RoleMachineRead, RoleMachineReadWrite}
	case "forbidden":
		required = []string{forbiddenRoles[c.route.key]}
	}
	vulnerabilitySide := required[0] != RoleMachineRead
	if vulnerabilitySide && c.settings.Licence == LicenceMachinesOnly {
		return &apiError{status: 401, code: "Unauthorized", text: "Unauthorized request - reason of failure: No Tvm license"}
	}
	for _, role := range required {
		if slices.Contains(c.claims.Roles, role) {
			if c.route.name == "forbidden" {
				return &apiError{status: 404, code: "NotFound", text: "The simulator does not serve this route."}
			}
			return nil
		}
	}
	text := "Missing application roles. API required roles: " + strings.Join(required, ",") + ", application roles: " + strings.Join(c.claims.Roles, ",") + "."
	if vulnerabilitySide && s.switches().LegacyForbidden {
		text = "The application does not have any of the required application permissions (" + strings.Join(required, ", ") + ") to access the resource."
	}
	return &apiError{status: 403, code: "Forbidden", text: text}
}

package conformance_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

var apiStatements = slices.Concat(limitStatements, []statement{
	{24, "bad token", strict, checkBadToken},
	{25, "missing role", strict, checkMissingRole},
	{26, "older wording of a missing role", strict, checkLegacyWording},
	{27, "write access includes read access", strict, checkReadWriteRole},
	{28, "licence", strict, checkLicence},
	{29, "shape of API errors", strict, checkErrorShape},
	{32, "versions and case of paths", strict, checkPaths},
	{33, "headers and compression", strict, checkHeaders},
	{34, "unknown route", optional, checkUnknownRoute},
	{35, "unknown properties", strict, checkUnknownProperties},
})

const oneMachine = "/api/machines?$top=1"

func checkBadToken(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	good := a.token(t)
	bad := map[string]string{"missing": "", "malformed": "abc", "altered": good[:len(good)-6] + "AAAAAA",
		"for Graph": a.token(t, "scope", "https://graph.microsoft.com/.default")}
	for name, token := range bad {
		if res := d.get(t, token, oneMachine); res.status != http.StatusUnauthorized || (len(res.body) > 0 && res.text(t, "error.code") != "Unauthorized") {
			t.Errorf("%s: status %d: %.200q", name, res.status, res.body)
		}
	}
	if res := d.get(t, "", oneMachine, header{"Authorization", "Basic " + good}); res.status != http.StatusUnauthorized {
		t.Errorf("the token under another scheme: status %d", res.status)
	}
	d.get(t, good, oneMachine).want(t, http.StatusOK, "")
	d.turn(t, object{"empty_unauthorized": true})
	if res := d.get(t, "abc", oneMachine).want(t, http.StatusUnauthorized, ""); len(res.body) != 0 {
		t.Errorf("body %.100q", res.body)
	}
	d.turn(t, object{"empty_unauthorized": false})
	d.advance(t, 3598*time.Second)
	d.get(t, good, oneMachine).want(t, http.StatusOK, "")
	d.advance(t, 10*time.Minute)
	d.get(t, good, oneMachine).want(t, http.StatusUnauthorized, "Unauthorized")
}

func checkMissingRole(t *testing.T, d *double) {
	token := d.fresh(t, nil, object{"roles": []string{vulnerabilityRead}}).token(t)
	res := d.get(t, token, oneMachine).want(t, http.StatusForbidden, "Forbidden")
	const machines = "Missing application roles. API required roles: Machine.Read.All,Machine.ReadWrite.All, application roles: Vulnerability.Read.All."
	if text := res.text(t, "error.message"); text != machines {
		t.Errorf("message %q", text)
	}
	token = d.fresh(t, nil, object{"roles": []string{machineRead}}).token(t)
	for _, path := range []string{"/api/vulnerabilities?$top=1", "/api/vulnerabilities/machinesVulnerabilities?$top=1", "/api/machines/SoftwareVulnerabilitiesByMachine?$top=1"} {
		res = d.get(t, token, path).want(t, http.StatusForbidden, "Forbidden")
		const rows = "Missing application roles. API required roles: Vulnerability.Read.All, application roles: Machine.Read.All."
		if text := res.text(t, "error.message"); text != rows {
			t.Errorf("%s: message %q", path, text)
		}
	}
}

func checkLegacyWording(t *testing.T, d *double) {
	token := d.fresh(t, nil, object{"roles": []string{machineRead}}).token(t)
	d.turn(t, object{"legacy_forbidden": true})
	res := d.get(t, token, "/api/vulnerabilities?$top=1").want(t, http.StatusForbidden, "Forbidden")
	const want = "The application does not have any of the required application permissions (Vulnerability.Read.All) to access the resource."
	if text := res.text(t, "error.message"); text != want {
		t.Errorf("message %q", text)
	}
}

func checkReadWriteRole(t *testing.T, d *double) {
	token := d.fresh(t, nil, object{"roles": []string{machineReadWrite}}).token(t)
	d.get(t, token, oneMachine).want(t, http.StatusOK, "")
	d.get(t, token, "/api/vulnerabilities?$top=1").want(t, http.StatusForbidden, "Forbidden")
}

func checkLicence(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	token := a.token(t)
	d.tell(t, http.MethodPut, "/directories/"+a.directory+"/licence", object{"licence": "machines_only"})
	d.get(t, token, oneMachine).want(t, http.StatusOK, "")
	res := d.get(t, token, "/api/vulnerabilities?$top=1").want(t, http.StatusUnauthorized, "Unauthorized")
	if !strings.Contains(res.text(t, "error.message"), "No Tvm license") {
		t.Errorf("message %q", res.text(t, "error.message"))
	}
	d.tell(t, http.MethodPut, "/directories/"+a.directory+"/licence", object{"licence": "inactive"})
	for _, path := range []string{oneMachine, "/api/vulnerabilities?$top=1"} {
		res = d.get(t, token, path).want(t, http.StatusUnauthorized, "Unauthorized")
		if text := res.text(t, "error.message"); text != "Unauthorized request - reason of failure: Account mode is inactive" {
			t.Errorf("%s: message %q", path, text)
		}
	}
}

func checkErrorShape(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	for path, status := range map[string]int{"/api/machines/ffff": 404, "/api/machines?$top=-1": 400, "/api/nothing": 404, "/api/exposureScore": 403} {
		res := d.get(t, token, path).want(t, status, "")
		for _, name := range []string{"code", "message", "target"} {
			if res.text(t, "error."+name) == "" {
				t.Errorf("%s: no %s: %.200q", path, name, res.body)
			}
		}
	}
	d.turn(t, object{"omit_error_target": true})
	res := d.get(t, token, "/api/machines/ffff").want(t, http.StatusNotFound, "ResourceNotFound")
	if res.at(t, "error.target") != nil {
		t.Errorf("target %v", res.at(t, "error.target"))
	}
}

func checkPaths(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	same := []string{"/api/machines?$top=3", "/api/v1.0/machines?$top=3", "/API/Machines?$top=3", "/api/V1.0/MACHINES?$top=3"}
	want := d.get(t, token, same[0]).rows(t)
	for _, path := range same[1:] {
		if rows := d.get(t, token, path).rows(t); len(rows) != 3 || rows[0]["id"] != want[0]["id"] {
			t.Errorf("%s: %d other rows", path, len(rows))
		}
	}
	d.get(t, token, "/api/Vulnerabilities/MACHINESVulnerabilities?$top=1").want(t, http.StatusOK, "")
	d.turn(t, object{"exact_paths": true})
	d.get(t, token, "/api/v1.0/machines?$top=1").want(t, http.StatusOK, "")
	d.get(t, token, "/api/Machines?$top=1").want(t, http.StatusNotFound, "NotFound")
}

func checkHeaders(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	plain := d.get(t, token, "/api/machines?$top=5").want(t, http.StatusOK, "")
	if got := plain.header.Get("Content-Type"); got != "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	if plain.header.Get("OData-Version") != "4.0" || plain.header.Get("Content-Encoding") != "" {
		t.Errorf("headers %v", plain.header)
	}
	unpack := map[string]func(io.Reader) (io.Reader, error){
		"gzip":          func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"gzip, deflate": func(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil },
	}
	for offered, open := range unpack {
		res := d.get(t, token, "/api/machines?$top=5", header{"Accept-Encoding", offered}).want(t, http.StatusOK, "")
		if want := offered[max(0, strings.LastIndex(offered, " ")+1):]; res.header.Get("Content-Encoding") != want {
			t.Errorf("%s: Content-Encoding %q", offered, res.header.Get("Content-Encoding"))
		}
		r, err := open(bytes.NewReader(res.body))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(r); err != nil || !bytes.Equal(text, plain.body) {
			t.Errorf("%s: unpacked to something else: %v", offered, err)
		}
	}
}

func checkUnknownRoute(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	for _, path := range []string{"/api/nothing", "/api/machines/a/b/c", "/api/v9/machines"} {
		d.get(t, token, path).want(t, http.StatusNotFound, "NotFound")
	}
}

func checkUnknownProperties(t *testing.T, d *double) {
	token := d.fresh(t, nil, nil).token(t)
	machine, _ := d.get(t, token, oneMachine).rows(t)[0]["id"].(string)
	paths := []string{oneMachine, "/api/machines/" + machine, "/api/vulnerabilities?$top=1", "/api/machines/ffff"}
	before := map[string]int{}
	for _, path := range paths {
		before[path] = members(t, d.get(t, token, path))
	}
	d.turn(t, object{"extra_fields": true})
	for _, path := range paths {
		if now := members(t, d.get(t, token, path)); now <= before[path] {
			t.Errorf("%s: %d members before and %d after", path, before[path], now)
		}
	}
}

// members counts those of an answer and of all objects in it.
func members(t *testing.T, a answer) (n int) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(a.body))
	for {
		token, err := dec.Token()
		if err == io.EOF {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := token.(string); ok {
			n++
		}
	}
}

package httpapi_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// strongTags are the operations whose answers carry one.
var strongTags = []string{"getIntegration", "getManagedTenant", "getEntitlements", "getTenantEntitlements"}

// TestRepeatedReadsAreCheap reads everything that carries a tag again with the tag.
func TestRepeatedReadsAreCheap(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	x := h.furnish(h.mine)
	h.clock.move(time.Until(time.Now().Truncate(time.Hour).Add(time.Hour + time.Minute))) // cursors change with the hour
	for _, op := range operations(t) {
		if op.method != http.MethodGet {
			continue
		}
		get := op.request(x, h.mine.keys[tenant.Admin])
		if get.client = h.checked(); op.role == tenant.Platform {
			get.key = m.token(tenant.Platform)
		}
		if op.answers("304") && strings.HasPrefix(op.id, "list") && op.id != "listIntegrationTypes" {
			get.path += "?limit=1" // so that there is a cursor
		}
		first := h.send(get)
		tag := first.header.Get("ETag")
		if first.status != http.StatusOK || (tag != "") != op.answers("304") {
			t.Errorf("%s: %d with tag %q", op.id, first.status, tag)
		}
		if tag == "" {
			continue
		}
		if strings.HasPrefix(tag, "W/") == slices.Contains(strongTags, op.id) {
			t.Errorf("%s: tag %s", op.id, tag)
		}
		h.clock.move(time.Second)
		for value, want := range map[string]int{
			tag: http.StatusNotModified, `"other", ` + tag: http.StatusNotModified, strings.TrimPrefix(tag, "W/"): http.StatusNotModified,
			`W/"other"`: http.StatusOK, `"`: http.StatusOK,
		} {
			get.header = map[string]string{"If-None-Match": value}
			got := h.send(get)
			if got.status != want || got.header.Get("ETag") != tag || (got.body == "") != (want == http.StatusNotModified) {
				t.Errorf("%s with If-None-Match %s: %d, want %d, tag %s, was %s", op.id, value, got.status, want, got.header.Get("ETag"), tag)
			}
		}
	}
}

// TestLongListsOfTagsAreRefused keeps to the length that the contract names.
func TestLongListsOfTagsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.furnish(h.mine)
	for _, c := range []struct {
		method, header string
		length, status int
	}{
		{http.MethodGet, "If-None-Match", 512, http.StatusOK}, {http.MethodGet, "If-None-Match", 513, http.StatusBadRequest},
		{http.MethodDelete, "If-Match", 512, http.StatusPreconditionFailed}, {http.MethodDelete, "If-Match", 513, http.StatusBadRequest},
	} {
		got := h.send(raw{
			method: c.method, path: "/v1/integrations/" + x.integration, key: h.mine.keys[tenant.Admin], client: h.checked(),
			header: map[string]string{c.header: strings.Repeat("x", c.length)},
		})
		if got.status != c.status {
			t.Errorf("%s of %d characters: %d %s", c.header, c.length, got.status, got.body)
		}
	}
}

// TestAnEmptyConditionIsNone sends If-Match without a tag, in every way that can be written, to what takes it.
func TestAnEmptyConditionIsNone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	i := h.connect(h.mine)
	for _, empty := range [][]string{{""}, {" "}, {","}, {" , "}, {"", ""}} {
		for _, method := range []string{http.MethodPatch, http.MethodDelete} {
			r, err := http.NewRequestWithContext(t.Context(), method, h.url+"/v1/integrations/"+i.ID, strings.NewReader(`{"name":"Europe"}`))
			must(t, err)
			r.Header = http.Header{"Authorization": {"Bearer " + h.mine.keys[tenant.Admin]}, "Content-Type": {"application/json"}, "If-Match": empty}
			got, err := http.DefaultClient.Do(r)
			must(t, err)
			var p api.Problem
			must(t, json.NewDecoder(got.Body).Decode(&p))
			must(t, got.Body.Close())
			if got.StatusCode != http.StatusBadRequest || len(p.Errors) != 1 || p.Errors[0].Parameter != "If-Match" {
				t.Errorf("%s with If-Match %q: %d %+v", method, empty, got.StatusCode, p)
			}
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, h.url+"/v1/integrations/"+i.ID, http.NoBody)
	must(t, err)
	r.Header = http.Header{"Authorization": {"Bearer " + h.mine.keys[tenant.Admin]}, "If-Match": {"", `"1.0"`}}
	got, err := http.DefaultClient.Do(r)
	must(t, err)
	must(t, got.Body.Close())
	if got.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("a wrong tag in a second line: %d", got.StatusCode)
	}
}

func TestTagsChangeWithWhatIsShown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.furnish(h.mine)
	paths := []string{
		"/v1/assets", "/v1/assets/" + x.asset, "/v1/vulnerabilities/" + x.vulnerability + "/assets", "/v1/findings", "/v1/summary",
	}
	read := func(path, tag string) answered {
		return h.send(raw{method: http.MethodGet, path: path, key: h.mine.keys[tenant.ReadOnly], client: h.checked(), header: map[string]string{"If-None-Match": tag}})
	}
	tags := map[string]string{}
	for _, path := range paths {
		tags[path] = read(path, "").header.Get("ETag")
	}
	h.exec("update asset set hostname = 'renamed.contoso.com', os_family = 'linux' where source_id = 'source-1'")
	for _, path := range paths {
		if got := read(path, tags[path]); got.status != http.StatusOK || got.header.Get("ETag") == tags[path] {
			t.Errorf("%s after a change: %d, tag %s, was %s", path, got.status, got.header.Get("ETag"), tags[path])
		}
	}
}

func TestStreamsHaveNoTag(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.furnish(h.mine)
	for _, path := range []string{"/v1/assets", "/v1/vulnerabilities", "/v1/findings"} {
		got := h.send(raw{method: http.MethodGet, path: path, key: h.mine.keys[tenant.ReadOnly], client: h.checked(),
			header: map[string]string{"Accept": "application/x-ndjson", "If-None-Match": "*"}})
		if got.status != http.StatusOK || got.body == "" || got.header.Get("ETag") != "" {
			t.Errorf("%s: %d with tag %q", path, got.status, got.header.Get("ETag"))
		}
	}
}

// TestTagsAreOfOneObject changes objects under tags of others that have the same version, and under one with an invented hash.
func TestTagsAreOfOneObject(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	mine, twin, foreign := h.connect(h.mine), h.connect(h.mine), h.connect(h.other)
	version, _, _ := strings.Cut(mine.ETag, ".")
	if other, _, _ := strings.Cut(foreign.ETag, "."); other != version {
		t.Fatalf("%s and %s have other versions", mine.ETag, foreign.ETag)
	}
	c := h.admin()
	change := api.IntegrationPatch{Name: new("Europe")}
	for _, tag := range []string{twin.ETag, foreign.ETag, version + `.000000000000000000000000"`, version + `.0000000000000000"`} {
		if err := second(c.UpdateIntegration(t.Context(), mine.ID, change, api.IfMatch(tag))); !api.HasCode(err, api.CodePreconditionFailed) {
			t.Errorf("changed under %s, the tag is %s: %v", tag, mine.ETag, err)
		}
	}
	must(t, second(c.UpdateIntegration(t.Context(), mine.ID, change, api.IfMatch(mine.ETag))))
}

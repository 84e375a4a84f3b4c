package conformance_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

var cloudStatements = []statement{
	{71, "links to other hosts", optional, checkLinkHosts},
	{72, "government clouds", optional, checkClouds},
	{73, "redirects", optional, checkRedirect},
	{74, "secrets stay secret", strict, checkSecrets},
}

const rowsInPages = "/api/machines/SoftwareVulnerabilitiesByMachine?pageSize=5"

func checkLinkHosts(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	token := a.token(t)
	if link := d.get(t, token, rowsInPages).nextLink(t); !strings.HasPrefix(link, d.base+"/api/") {
		t.Fatalf("nextLink %q", link)
	}
	const hostile = "https://attacker.example"
	d.arm(t, a.directory, object{"route": "software_vulnerabilities", "times": 1, "link_base": hostile})
	if link := d.get(t, token, rowsInPages).nextLink(t); !strings.HasPrefix(link, hostile+"/api/") {
		t.Errorf("nextLink %q", link)
	}
	const regional = "eu.api.security.microsoft.com"
	if link := d.get(t, token, rowsInPages, header{"Host", regional}).nextLink(t); !strings.HasPrefix(link, "https://"+regional+"/api/") {
		t.Errorf("asked at %s: nextLink %q", regional, link)
	}
	d.turn(t, object{"link_host": regional})
	res := d.get(t, token, rowsInPages)
	context, _ := res.object(t)["@odata.context"].(string)
	if link := res.nextLink(t); !strings.HasPrefix(link, "https://"+regional+"/api/") || !strings.HasPrefix(context, "https://"+regional+"/api/") {
		t.Errorf("nextLink %q, context %q", link, context)
	}
	link, err := url.Parse(res.nextLink(t))
	if err != nil {
		t.Fatal(err)
	}
	// What is behind the link answers at the address that was asked first, too.
	if rows := d.get(t, token, link.RequestURI()).rows(t); len(rows) == 0 {
		t.Error("no rows behind the link")
	}
}

// clouds are the hosts and resources of the pages "National clouds" and "Microsoft Defender for Endpoint for US Government
// customers".
var clouds = []struct{ name, login, api, resource string }{
	{"commercial", "login.microsoftonline.com", "api.security.microsoft.com", "https://api.securitycenter.microsoft.com"},
	{"commercial", "login.microsoftonline.com", "api.securitycenter.microsoft.com", "https://api.securitycenter.microsoft.com"},
	{"commercial", "login.microsoftonline.com", "eu.api.security.microsoft.com", "https://api.securitycenter.windows.com"},
	{"gcc", "login.microsoftonline.com", "api-gcc.securitycenter.microsoft.us", "https://api-gcc.securitycenter.microsoft.us"},
	{"gcc_high", "login.microsoftonline.us", "api-gov.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us"},
	{"dod", "login.microsoftonline.us", "api-gov.securitycenter.microsoft.us", "https://api-gov.securitycenter.microsoft.us"},
}

func checkClouds(t *testing.T, d *double) {
	for _, c := range clouds {
		a := d.fresh(t, object{"cloud": c.name}, nil)
		scope := c.resource + "/.default"
		ask := func(host, scope string) answer {
			return d.form(t, a.path(), a.form("scope", scope), header{"Host", host})
		}
		token := ask(c.login, scope).want(t, http.StatusOK, "").text(t, "access_token")
		if aud := claims(t, token)["aud"]; aud != c.resource {
			t.Errorf("%s: aud %v", c.name, aud)
		}
		d.get(t, token, oneMachine, header{"Host", c.api}).want(t, http.StatusOK, "")
		d.get(t, token, oneMachine).want(t, http.StatusOK, "") // under a name that is not Microsoft's all clouds are served
		for _, o := range clouds {
			if o.login != c.login {
				refused(t, ask(o.login, scope), http.StatusBadRequest, "invalid_request", 90002, a.directory)
			}
			if o.api != c.api && o.name != c.name {
				d.get(t, token, oneMachine, header{"Host", o.api}).want(t, http.StatusUnauthorized, "Unauthorized")
			}
			if o.resource != c.resource && o.name != c.name {
				refused(t, ask(c.login, o.resource+"/.default"), anyRefusal, "invalid_resource", 500011)
			}
		}
		if res := d.form(t, a.path(), a.form("scope", scope), header{"Host", c.api}); res.status == http.StatusOK {
			t.Errorf("%s: the API host issued a token", c.name)
		}
		if res := d.get(t, token, oneMachine, header{"Host", c.login}); res.status == http.StatusOK {
			t.Errorf("%s: the login host served machines", c.name)
		}
	}
}

func checkRedirect(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	for _, status := range []int{301, 302, 307, 308} {
		d.arm(t, a.directory, object{"route": "machines", "times": 1, "status": status, "location": "https://attacker.example/api/machines"})
		if res := d.get(t, a.token(t), oneMachine); res.status != status || res.header.Get("Location") != "https://attacker.example/api/machines" {
			t.Errorf("status %d, Location %q", res.status, res.header.Get("Location"))
		}
	}
}

func checkSecrets(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	said := ""
	for _, pairs := range [][]string{nil, {"scope", "foo/.default"}, {"scope", ""}, {"client_id", "my-app"}, {"grant_type", "password"}, {"grant_type", ""}} {
		res := a.ask(t, pairs...)
		said += string(res.body)
		for name, values := range res.header {
			said += name + strings.Join(values, " ")
		}
	}
	token := a.token(t)
	said += string(d.get(t, token, oneMachine).body) + string(d.get(t, token, "/api/machines/"+url.PathEscape("x y")).body)
	if d.control != "" {
		d.get(t, token, oneMachine+"&client_secret="+url.QueryEscape(a.secret)+"&access_token="+token).want(t, http.StatusOK, "")
		said += string(d.tell(t, http.MethodGet, "/journal?limit=1000", nil).body)
		said += string(d.tell(t, http.MethodGet, "/directories/"+a.directory, nil).body)
	}
	for _, secret := range []string{a.secret, url.QueryEscape(a.secret), url.PathEscape(a.secret), token} {
		if strings.Contains(said, secret) {
			t.Errorf("%.8s… is told again", secret)
		}
	}
}

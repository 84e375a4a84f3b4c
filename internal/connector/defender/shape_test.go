package defender

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/seal"
)

const (
	testDirectory = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
	testClient    = "8f3c1d2e-5b7a-4c1e-9d60-2a4b6c8d0e1f"
	testSecret    = "canary~8Q.secret-value_0123456789abcdef"
)

func testCredentials() connector.Credentials {
	return connector.Credentials{DirectoryID: testDirectory, ClientID: testClient, Secret: seal.NewSecret(testSecret)}
}

func TestShapeTellsWhatIsWrongAtItsField(t *testing.T) {
	t.Parallel()
	c := mustNew(t, Config{})
	cases := map[string]struct {
		directory, client, secret string
		want                      []string // pointer:code
	}{
		"good":                         {testDirectory, testClient, testSecret, nil},
		"braces, blanks, capitals":     {" {" + strings.ToUpper(testDirectory) + "}\n", "\t" + strings.ToUpper(testClient), "\u200b " + testSecret + "\r\n", nil},
		"all empty":                    {"", " ", "\n", []string{pointerClient + ":required", pointerSecret + ":required", pointerTenant + ":required"}},
		"zero directory":               {zeroGUID, testClient, testSecret, []string{pointerTenant + ":pattern"}},
		"zero client":                  {testDirectory, zeroGUID, testSecret, []string{pointerClient + ":pattern"}},
		"common":                       {"common", testClient, testSecret, []string{pointerTenant + ":pattern"}},
		"organizations":                {"Organizations", testClient, testSecret, []string{pointerTenant + ":pattern"}},
		"domain":                       {"contoso.onmicrosoft.com", testClient, testSecret, []string{pointerTenant + ":looks_like_domain"}},
		"url":                          {"https://login.microsoftonline.com/" + testDirectory, testClient, testSecret, []string{pointerTenant + ":pattern"}},
		"path tricks":                  {"../" + testDirectory[:33], testClient, testSecret, []string{pointerTenant + ":pattern"}},
		"escaped slash":                {"7c9e6679-7425-40de-944b%2fe07fc1f90a", testClient, testSecret, []string{pointerTenant + ":pattern"}},
		"no dashes":                    {strings.ReplaceAll(testDirectory, "-", ""), testClient, testSecret, []string{pointerTenant + ":pattern"}},
		"wide digits":                  {testDirectory[:35] + "７", testClient, testSecret, []string{pointerTenant + ":pattern"}},
		"equal ids":                    {testClient, testClient, testSecret, []string{pointerClient + ":same_as_tenant_id"}},
		"secret id":                    {testDirectory, testClient, "  3F2504E0-4F89-41D3-9A0C-0305E82C3301\n", []string{pointerSecret + ":looks_like_secret_id"}},
		"secret with blank inside":     {testDirectory, testClient, "abcdefgh ijklmnopqrst", []string{pointerSecret + ":whitespace"}},
		"secret with newline inside":   {testDirectory, testClient, "abcdefgh\nijklmnopqrst", []string{pointerSecret + ":whitespace"}},
		"secret with a control":        {testDirectory, testClient, "abcdefgh\x00ijklmnopqrst", []string{pointerSecret + ":not_printable"}},
		"secret with typographic dash": {testDirectory, testClient, "abcdefgh–ijklmnopqrst", []string{pointerSecret + ":not_printable"}},
		"secret too short":             {testDirectory, testClient, "abcdefghijklmno", []string{pointerSecret + ":too_short"}},
		"secret too long":              {testDirectory, testClient, strings.Repeat("a", 257), []string{pointerSecret + ":too_long"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, fields := c.Shape(connector.Credentials{DirectoryID: tc.directory, ClientID: tc.client, Secret: seal.NewSecret(tc.secret)})
			var got []string
			for _, f := range fields {
				got = append(got, f.Pointer+":"+f.Code)
				if strings.Contains(f.Detail, strings.TrimSpace(tc.secret)) && strings.TrimSpace(tc.secret) != "" {
					t.Errorf("the detail repeats the secret: %q", f.Detail)
				}
			}
			if strings.Join(got, " ") != strings.Join(tc.want, " ") {
				t.Fatalf("got %v, want %v", got, tc.want)
			}
			if tc.want == nil && (out.DirectoryID != testDirectory || out.ClientID != testClient || out.Secret.Reveal() != testSecret) {
				t.Fatalf("not canonical: %+v", out)
			}
		})
	}
}

func TestDescriptionHasTheFormOfTheConnectPage(t *testing.T) {
	t.Parallel()
	d := mustNew(t, Config{}).Describe()
	var labels []string
	for _, f := range d.Fields {
		if f.Name != "credentials.method" && (f.When == nil || f.When.Equals == string(connector.MethodSecret)) {
			labels = append(labels, f.Label) // what the page shows; the other ways to sign in are ours
		}
		if f.Secret != (f.Label == "Client Secret" || f.Label == "Certificate") {
			t.Errorf("%s: secret is %v", f.Label, f.Secret)
		}
		if f.Input == "checkbox" && f.Default != true {
			t.Errorf("%s does not default to true", f.Label)
		}
	}
	if got, want := strings.Join(labels, "|"), "Client ID|Client Secret|Tenant ID|Import Internal Assets|Import Vulnerabilities"; got != want {
		t.Fatalf("labels %q, want %q", got, want)
	}
	if d.Kind != "microsoft-defender" || !d.Multiple || d.Surface != "internal" || len(d.Permissions) != 2 || !d.Capability.Integration {
		t.Fatalf("description is not what was promised: %+v", d)
	}
}

func TestConfigurationIsRefusedWhenItCouldLeakCredentials(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"http api":      {APIURL: "http://api.security.microsoft.com"},
		"http login":    {LoginURL: "http://login.microsoftonline.com"},
		"user info":     {APIURL: "https://user@api.security.microsoft.com"},
		"path":          {APIURL: "https://api.security.microsoft.com/api"},
		"no host":       {APIURL: "https://"},
		"other scheme":  {APIURL: "ftp://api.security.microsoft.com", AllowInsecure: true},
		"unknown cloud": {Cloud: "mars"},
		"page size":     {Pages: Pages{Rows: 200_001}},
	} {
		cfg.Budget = Unlimited{}
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := New(Config{}); err == nil {
		t.Error("without a budget of calls: accepted")
	}
	gov := mustNew(t, Config{Cloud: GCCHigh})
	if gov.login != "https://login.microsoftonline.us" || gov.cfg.Scope != "https://api-gov.securitycenter.microsoft.us/.default" {
		t.Errorf("government cloud: %s %s", gov.login, gov.cfg.Scope)
	}
	if com := mustNew(t, Config{}); com.cfg.Scope != "https://api.securitycenter.microsoft.com/.default" || com.api != "https://api.security.microsoft.com" {
		t.Errorf("commercial cloud: scope %s, api %s", com.cfg.Scope, com.api)
	}
}

// mustNew makes a connector, without limits unless the test brings some.
func mustNew(t testing.TB, cfg Config) *Connector {
	t.Helper()
	if cfg.Budget == nil {
		cfg.Budget = Unlimited{}
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func sealed(text string) seal.Secret { return seal.NewSecret(text) }

func TestOlderHostsWorkWithAWarning(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"https://api.securitycenter.microsoft.com": true, "https://api-eu.securitycenter.microsoft.com": true,
		"https://api.securitycenter.windows.com": true, "https://api.security.microsoft.com": false, "https://eu.api.security.microsoft.com": false,
	} {
		var log bytes.Buffer
		c := mustNew(t, Config{APIURL: host, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if warned := strings.Contains(log.String(), "is to retire"); warned != want {
			t.Errorf("%s: %q", host, log.String())
		}
		if c.cfg.Scope != "https://api.securitycenter.microsoft.com/.default" {
			t.Errorf("%s: scope %s is derived from the host", host, c.cfg.Scope)
		}
		if !c.hosts["api.security.microsoft.com"] {
			t.Errorf("%s: the newer host may not stand in a next link", host)
		}
	}
}

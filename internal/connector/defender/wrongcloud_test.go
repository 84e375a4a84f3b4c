package defender_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/seal"
)

// TestADirectoryOfAnotherCloudIsToldWhichCloudWasAsked connects directories of either cloud of the shared login host through a service
// of the other one.
func TestADirectoryOfAnotherCloudIsToldWhichCloudWasAsked(t *testing.T) {
	t.Parallel()
	for own, c := range map[defender.Cloud]struct {
		directory   defendersim.Cloud
		asked, name string
	}{
		defender.Commercial: {defendersim.CloudGCC, "of the commercial cloud", "A directory of the GCC cloud has to be connected"},
		defender.GCC:        {defendersim.CloudCommercial, "of the GCC cloud", "A directory of the commercial cloud has to be connected"},
	} {
		t.Run(string(own), func(t *testing.T) {
			t.Parallel()
			sim := defendersim.New(defendersim.Config{})
			const directory, client = "5a1e5b0c-0c8e-4d1c-9a52-3f5c1d0e7a01", "0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a01"
			if err := sim.AddDirectory(defendersim.DirectorySpec{ID: directory, Cloud: c.directory, Machines: 1, Apps: []defendersim.App{{
				ClientID: client, Secret: simSecret, Roles: []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead},
			}}}); err != nil {
				t.Fatal(err)
			}
			server := httptest.NewServer(sim.Handler())
			t.Cleanup(server.Close)
			conn, err := defender.New(defender.Config{Cloud: own, LoginURL: server.URL, APIURL: server.URL, AllowInsecure: true, Budget: defender.Unlimited{}})
			if err != nil {
				t.Fatal(err)
			}
			source := conn.Open(connector.Credentials{DirectoryID: directory, ClientID: client, Secret: seal.NewSecret(simSecret)})
			got := source.Check(t.Context(), connector.Probe{Assets: true})[0]
			if got.Code != fault.CodeServiceNotEnabled || !strings.Contains(got.Detail, c.asked) || !strings.Contains(got.Remedy, c.name) || !strings.Contains(got.Remedy, "DEFENDERD_CLOUD") {
				t.Errorf("%+v", got)
			}
		})
	}
}

package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// TestADataKeyThatDoesNotOpenIsToldAsThat spoils a tenant's data key as whoever can write the database may, and then seals and opens:
// what is told is the same, stores nothing and is no defect. Another tenant notices nothing.
func TestADataKeyThatDoesNotOpenIsToldAsThat(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	i := h.connect(h.mine)
	h.connect(h.other)
	h.exec(`create table whole as table tenant_key`)
	mine, connect := "where tenant_id = "+number(h.mine.id), fmt.Sprintf(`{"type":"microsoft-defender","credentials":{"client_id":%q,"client_secret":%q,"tenant_id":%q}}`, uuid.New(), canary, uuid.New())
	storing := map[string]raw{
		"connect": {path: "/v1/integrations", body: connect},
		"rotate":  {path: "/v1/integrations/" + i.ID + "/rotate-secret", body: `{"client_secret":"` + canary + `"}`},
		"stage":   {path: "/v1/integrations/" + i.ID + "/rotate-secret", body: `{"client_secret":"` + canary + `","stage":true}`},
	}
	for _, change := range []string{"kek = 'keyring:abc'", "kek = 'x'", "wrapped = 'x'", "wrapped = set_byte(wrapped, 20, get_byte(wrapped, 20) # 1)", "number = 2147483647"} {
		h.exec("update tenant_key set " + change + " " + mine)
		for name, r := range storing {
			r.method, r.key, r.client = http.MethodPost, h.mine.keys[tenant.Admin], h.checked()
			r.header = map[string]string{"Content-Type": "application/json"}
			got := h.send(r)
			p := got.problem(t)
			if got.status != http.StatusInternalServerError || p.Code != api.CodeSecretUnreadable || p.Acts != api.ActorPGPOperator || !strings.Contains(p.Detail, "Nothing was stored. The operator checks the keyring") {
				t.Errorf("%s, %s: %d %s", change, name, got.status, got.body)
			}
		}
		if v, err := h.admin().ValidateIntegration(t.Context(), i.ID); err != nil || v.OK || len(v.Checks) != 1 || v.Checks[0].Code != string(api.CodeSecretUnreadable) {
			t.Errorf("%s, validate: %+v, %v", change, v, err)
		}
		h.exec("delete from tenant_key " + mine + "; insert into tenant_key select * from whole " + mine)
	}
	if n := h.number("select count(*) from integration " + mine + " and staged_box is null"); n != 1 {
		t.Errorf("%d integrations", n)
	}
	h.connect(h.other)
}

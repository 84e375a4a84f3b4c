package defender

import (
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

const (
	causeCertificate  = "The certificate's public part was not uploaded to the app registration, or was removed there."
	remedyCertificate = "In the app registration open Certificates & secrets, Certificates, and upload the public part of {certificate}; then validate again. Or enter another certificate."
	remedyFederated   = "In the app registration open Certificates & secrets, Federated credentials, Add credential, Other issuer, and enter issuer \"{issuer}\", subject \"{subject}\" and audience \"{audience}\" exactly so; wait a few minutes and validate again."
	remedyOperator    = "Nothing to mend at Microsoft: the operator of this service looks into it."
)

// assertionRules are the answers to a sign-in by certificate or by a federated identity: Microsoft's pages "Authentication and
// authorization error codes" and "Workload identity federation".
func assertionRules() []rule {
	return []rule{
		// The certificate.
		{numbers: []int{700027}, hints: []string{"expired"}, when: byCertificate, to: fault.CodeSecretExpired,
			detail: "The certificate of application {client_id} has expired.", cause: "The certificate's validity has ended.",
			remedy: "Make a new certificate, upload its public part under Certificates & secrets, Certificates, and enter it here with its private key."},
		{numbers: []int{700027}, hints: []string{"not found"}, when: byCertificate, to: fault.CodeCredentialsInvalid,
			detail: "The certificate is not one of application {client_id}.", cause: causeCertificate, remedy: remedyCertificate},
		{numbers: []int{700027}, when: byCertificate, to: fault.CodeCredentialsInvalid, detail: "The signature does not fit the certificate of application {client_id}.",
			cause: "The private key entered does not belong to the certificate that was uploaded.", remedy: remedyCertificate},

		// The same number of a sign-in without a certificate of ours.
		{numbers: []int{700027}, when: federated, to: fault.CodeCredentialsInvalid,
			detail: "Microsoft Entra ID takes the platform's token for a statement signed with a certificate of application {client_id}.",
			cause:  "The application has no federated credential that fits.", remedy: remedyFederated},
		{numbers: []int{700027}, to: fault.CodeCredentialsInvalid, detail: "Microsoft Entra ID asks for a certificate of application {client_id}, and was sent a client secret.",
			cause:  "The application, or a policy of the directory, may allow certificates only.",
			remedy: "Create a new client secret under Certificates & secrets and enter its Value, or sign in by certificate."},

		// The platform's identity.
		{numbers: []int{700211}, to: fault.CodeCredentialsInvalid,
			detail: "Application {client_id} trusts no federated credential of the issuer {issuer}.",
			cause:  "The federated credential is missing, or its issuer is not spelt exactly so.", remedy: remedyFederated},
		{numbers: []int{700213}, to: fault.CodeCredentialsInvalid,
			detail: "Application {client_id} trusts no federated credential with the subject {subject}.",
			cause:  "The subject of the federated credential is not spelt exactly so.", remedy: remedyFederated},
		{numbers: []int{700212}, to: fault.CodeCredentialsInvalid,
			detail: "Application {client_id} trusts no federated credential with the audience {audience}.",
			cause:  "The audience of the federated credential is not spelt exactly so.", remedy: remedyFederated},
		{numbers: []int{700024}, when: federated, to: fault.CodeFederatedToken, detail: "Microsoft Entra ID says that the platform's token is out of its time.",
			cause: "The token has expired: whatever renews its file has stopped, or the clock of the platform is wrong."},
		{numbers: []int{50013, 50027}, when: federated, to: fault.CodeFederatedToken, detail: "Microsoft Entra ID cannot check the platform's token.",
			cause: "The keys that the issuer publishes do not fit the token, or cannot be reached from the internet."},

		// What this service states.
		{numbers: []int{700024}, to: fault.CodeUpstreamUnexpected, detail: "Microsoft Entra ID says that the statement of application {client_id} is out of its time.",
			cause: "The clock of this service differs from Microsoft's by more than five minutes.", remedy: "The operator sets the clock; then validate again."},
		{numbers: []int{700023}, to: fault.CodeUpstreamUnexpected, detail: "The statement of application {client_id} is not addressed to this directory.",
			cause: "The configured login host is not the one that Microsoft Entra ID knows itself by.", remedy: "The operator checks the configured cloud and login host."},
		{numbers: []int{700021, 50027, 50013}, to: fault.CodeUpstreamUnexpected, detail: "Microsoft Entra ID cannot read the statement of application {client_id}.",
			cause: "The statement that this service signed is not what Microsoft Entra ID expects.", remedy: remedyOperator},
	}
}

func bySecret(_ answer, who subject) bool {
	return who.method == connector.MethodSecret || who.method == ""
}

func byCertificate(_ answer, who subject) bool { return who.method == connector.MethodCertificate }

func federated(_ answer, who subject) bool { return who.method == connector.MethodFederated }

func notFederated(a answer, who subject) bool { return !federated(a, who) }

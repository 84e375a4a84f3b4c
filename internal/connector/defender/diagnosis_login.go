package defender

import (
	"slices"

	"pgp.internal/defender/internal/fault"
)

// loginRules are the answers of the token endpoint: Microsoft's page "Authentication and authorization error codes".
// What is passing is asked first, so that an outage never blames the customer; then the numbers, which give the precise
// cause; then the OAuth words, which decide when a number is new. The last rule takes everything.
func loginRules() []rule {
	return slices.Concat(passingRules(), assertionRules(), secretRules(), directoryRules(), wordRules())
}

func passingRules() []rule {
	return []rule{
		{status: 429, to: fault.CodeUpstreamThrottled, retry: true,
			detail: "Microsoft Entra ID is limiting the token requests of application {client_id}."},
		{numbers: []int{50196, 90055}, to: fault.CodeUpstreamThrottled, retry: true,
			detail: "Microsoft Entra ID is limiting the token requests of application {client_id}."},
		{status: 5, to: fault.CodeUpstreamUnavailable, retry: true, detail: "Microsoft Entra ID failed to answer the token request."},
		{numbers: []int{90033, 90006, 90024, 90012, 50033, 90090}, to: fault.CodeUpstreamUnavailable, retry: true,
			detail: "Microsoft Entra ID reports a passing fault."},
		{oauth: []string{"temporarily_unavailable", "server_error"}, to: fault.CodeUpstreamUnavailable, retry: true,
			detail: "Microsoft Entra ID reports a passing fault."},
		{status: 408, to: fault.CodeUpstreamTimeout, retry: true, detail: "Microsoft Entra ID gave up waiting for the token request."},
		{status: 3, to: fault.CodeUpstreamUnexpected,
			detail: "The login host answered with a redirect, which is never followed.",
			cause:  "Something other than Microsoft Entra ID answers at the configured login host.",
			remedy: "The operator checks the configured login host and the outbound proxy."},
	}
}

// secretRules are about the secret and the application it belongs to.
func secretRules() []rule {
	return []rule{
		{numbers: []int{7000222}, when: notFederated, to: fault.CodeSecretExpired, detail: "The {proof} of application {client_id} has expired.",
			cause: "The {proof} has passed its expiry date.", remedy: "{renew}."},
		{numbers: []int{7000215}, when: secretIsGUID, to: fault.CodeSecretIDPasted,
			detail: "The value entered for application {client_id} is a Secret ID, not a secret."},
		{numbers: []int{7000215}, when: bySecret, to: fault.CodeCredentialsInvalid, detail: "The client secret is not one of application {client_id}.",
			cause: "The secret was mistyped or cut off, deleted, belongs to another application, or its Secret ID was copied instead of its Value."},
		{numbers: []int{7000216, 7000218, 900144}, oauth: []string{"invalid_client"}, when: bySecret, to: fault.CodeCredentialsInvalid,
			detail: "Microsoft Entra ID saw no client secret for application {client_id}.", cause: "The stored client secret is empty."},
		{numbers: []int{700025}, to: fault.CodeCredentialsInvalid, detail: "Application {client_id} does not accept a {proof}.",
			cause:  "The application is registered as a public client.",
			remedy: "Register a confidential (web) application, or under Authentication set \"Allow public client flows\" to No; then validate again."},

		// The application.
		{numbers: []int{7000112}, to: fault.CodeApplicationDisabled, detail: "Application {client_id} is disabled in directory {directory_id}."},
		{numbers: []int{7000229}, to: fault.CodeConsentMissing, detail: "Application {client_id} is not installed in directory {directory_id}.",
			cause:  "The directory holds no enterprise application (service principal) for it: no administrator has consented yet, or the enterprise application was deleted.",
			remedy: "An administrator of the directory grants consent to the application, which creates the enterprise application; then validate again."},
		{numbers: []int{700016, 700011, 70001}, to: fault.CodeApplicationNotFound,
			detail: "Directory {directory_id} holds no application {client_id}."},
		{numbers: []int{65001, 650052, 650056, 650057, 90094}, to: fault.CodeConsentMissing,
			detail: "Application {client_id} has no consent in directory {directory_id}."},
	}
}

// otherCloud ends a remedy for directories that this service cannot reach.
const otherCloud = "has to be connected through a service whose DEFENDERD_CLOUD names that cloud: ask your PGP representative."

// directoryRules are about the directory, its policies, and the service in it.
func directoryRules() []rule {
	return []rule{
		{numbers: []int{90002, 900023, 900021, 90019, 50059, 50194, 9001023}, to: fault.CodeDirectoryNotFound,
			detail: "Microsoft Entra ID of the {cloud} cloud knows no directory {directory_id}.",
			remedy: "Copy the Directory (tenant) ID from the app registration's Overview page. This service is configured for the {cloud} cloud: a directory of another one " + otherCloud},
		{numbers: []int{90038, 900382, 900432}, to: fault.CodeDirectoryNotFound,
			detail: "Directory {directory_id} belongs to another Microsoft cloud than {cloud}.",
			cause:  "The directory exists, but not in the {cloud} cloud, which this service is configured for.",
			remedy: "A directory of another cloud (commercial, GCC, GCC High or DoD) " + otherCloud},

		// Policies and the service.
		{numbers: []int{53003, 530032, 530035, 530034, 50131, 53000, 53001, 53002}, to: fault.CodeAccessBlocked,
			detail: "A Conditional Access policy of directory {directory_id} blocks application {client_id}."},
		{numbers: []int{500021, 500022, 500212, 500213}, to: fault.CodeAccessBlocked,
			detail: "A tenant restriction or cross-tenant policy blocks application {client_id}."},
		{numbers: []int{500011, 50001}, to: fault.CodeServiceNotEnabled,
			detail: "Directory {directory_id} does not contain the application WindowsDefenderATP of the {cloud} cloud, which this service is configured for.",
			cause:  "Microsoft Defender for Endpoint was never set up in this directory, or the directory belongs to another Microsoft cloud, such as {neighbour}, which signs in at the same place.",
			remedy: "If the directory is one of the {cloud} cloud, open the Microsoft Defender portal once as an administrator to set the service up, then validate again. A directory of the {neighbour} cloud " + otherCloud},
		{numbers: []int{500014}, to: fault.CodeServiceNotEnabled,
			detail: "The application WindowsDefenderATP is disabled in directory {directory_id}.",
			cause:  "The Defender for Endpoint subscription has lapsed, or an administrator disabled the application WindowsDefenderATP.",
			remedy: "Renew the subscription, or enable the enterprise application WindowsDefenderATP, then validate again."},
		{numbers: []int{1002012, 70011, 700022}, to: fault.CodeUpstreamUnexpected,
			detail: "Microsoft Entra ID refuses the configured scope.", cause: "The scope configured in this service does not fit the Microsoft cloud.",
			remedy: "The operator checks the configured cloud and scope."},
		{numbers: []int{900144, 90014, 9002313, 900561, 70003}, to: fault.CodeUpstreamUnexpected,
			detail: "Microsoft Entra ID does not accept the form of the token request.",
			cause:  "The token request of this service no longer fits the interface of Microsoft Entra ID.",
			remedy: "Report what is told here, with the request ids in it: this service has to be changed."},
	}
}

// wordRules decide on numbers that are new, by the OAuth words of RFC 6749 section 5.2.
func wordRules() []rule {
	return []rule{
		{oauth: []string{"invalid_client"}, when: secretIsGUID, to: fault.CodeSecretIDPasted,
			detail: "The value entered for application {client_id} is a Secret ID, not a secret."},
		{oauth: []string{"invalid_client"}, when: byCertificate, to: fault.CodeCredentialsInvalid,
			detail: "Microsoft Entra ID does not accept the certificate of application {client_id}.",
			cause:  causeCertificate, remedy: remedyCertificate},
		{oauth: []string{"invalid_client"}, when: federated, to: fault.CodeCredentialsInvalid,
			detail: "Microsoft Entra ID does not accept the federated sign-in of application {client_id}.",
			cause:  "The application has no federated credential that fits.", remedy: remedyFederated},
		{oauth: []string{"invalid_client"}, to: fault.CodeCredentialsInvalid,
			detail: "Microsoft Entra ID does not accept the client id and secret of application {client_id}."},
		{oauth: []string{"unauthorized_client"}, to: fault.CodeApplicationNotFound,
			detail: "Microsoft Entra ID does not let application {client_id} request tokens in directory {directory_id}."},
		{oauth: []string{"invalid_tenant"}, to: fault.CodeDirectoryNotFound, detail: "Microsoft Entra ID knows no directory {directory_id}."},
		{oauth: []string{"invalid_resource"}, to: fault.CodeServiceNotEnabled,
			detail: "Directory {directory_id} offers no Microsoft Defender for Endpoint."},
		{oauth: []string{"invalid_grant", "interaction_required", "access_denied"}, to: fault.CodeAccessBlocked,
			detail: "A policy of directory {directory_id} blocks application {client_id}."},
		{to: fault.CodeUpstreamUnexpected, detail: "Microsoft Entra ID answered the token request in an unknown way."},
	}
}

func secretIsGUID(_ answer, who subject) bool { return who.secretIsGUID }

package main

import "github.com/spf13/cobra"

// commands lists every command, one file each.
func commands() []*cobra.Command {
	return []*cobra.Command{
		newAuditCommand(),
		newClientsCommand(),
		newConfigCommand(),
		newConsentCommand(),
		newConvertCommand(),
		newDecideCommand(),
		newDemoCommand(),
		newFeedsCommand(),
		newGatewaysCommand(),
		newIngestCommand(),
		newLabelsCommand(),
		newLinkCommand(),
		newMapCommand(),
		newMLLPCommand(),
		newPacksCommand(),
		newRejectsCommand(),
		newServeCommand(),
		newStoreCommand(),
		newTokenCommand(),
		newUsersCommand(),
	}
}

package main

import (
	"github.com/spf13/cobra"
)

func inspectCommand(m *modelFlags) *cobra.Command {
	return &cobra.Command{Use: "inspect", Short: "Show what a model is made of", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return nil }}
}

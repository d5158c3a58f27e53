package demo

import "os"

func isTerminal(f *os.File) bool { return false }

func watchLive(f *os.File, stages []*stage) func() { return func() {} }

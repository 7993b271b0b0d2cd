/*
 * Included ahead of every file that is built for fuzzing: the server's variables lie in
 * sections of their own, so that memory.c here finds them all and starts every input from
 * the same state.
 */
#pragma clang section bss = "state_bss" data = "state_data"

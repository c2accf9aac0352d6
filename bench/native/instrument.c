/* Switches callgrind on and off from within what it looks at, so that nothing but that is counted. */

#include <valgrind/callgrind.h>

void instrument_on(void) { CALLGRIND_START_INSTRUMENTATION; }
void instrument_off(void) { CALLGRIND_STOP_INSTRUMENTATION; }

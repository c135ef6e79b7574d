/* Faults that a build can be given on purpose (RNNFAST_FAULT=NAME at build time), so that the tests can be tested:
 * the suite must fail for each. Without the switch every comparison below is a constant and costs nothing. */
#ifndef RNNFAST_FAULT_H
#define RNNFAST_FAULT_H
enum {
    FAULT_NONE,
    FAULT_GATES,      /* two gates change places */
    FAULT_BIAS,       /* the bias is left out */
    FAULT_SHIFT,      /* the weight gradient multiplies by the state of the wrong step */
    FAULT_FIRST_STEP, /* backward leaves out the first step */
    FAULT_TAIL        /* the last unit is left out */
};
#ifndef RNNFAST_FAULT
#define RNNFAST_FAULT FAULT_NONE
#endif
static const int built_fault = RNNFAST_FAULT;
#endif

#include "CTollgate.h"

// The one include of napi.h: C++ exceptions, Node-API 8.
#pragma once

#ifndef NODE_ADDON_API_CPP_EXCEPTIONS
#define NODE_ADDON_API_CPP_EXCEPTIONS
#endif
#ifndef NAPI_VERSION
#define NAPI_VERSION 8
#endif
// An exception that JavaScript cannot take any more, because its worker is being terminated, is dropped.
#ifndef NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#define NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS
#endif
#include <napi.h>
